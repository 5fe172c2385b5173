// States and names, in words and colours: never by colour alone.

import type { Edge, NodeKind, State } from "../api/types";
import { protocol } from "../format";
import { link } from "../state/place";
import type { IconName } from "./icons";
import { usuallyTls, whyUnread } from "./unread";

const STATES: Record<State, string> = { idle: "idle", healthy: "healthy", degraded: "degraded", failing: "failing" };

export const StateBadge = ({ state }: { state: State }) => <span class={`badge ${state}`}>{STATES[state]}</span>;

/** A dot with its word for those who do not see it. */
export const StateDot = ({ state }: { state: State }) => (
    <span class={`dot ${state}`} role="img" aria-label={state} title={state}>
        {state === "degraded" || state === "failing" ? "!" : ""}
    </span>
);

/** `port` is where it was not read, if it was not. */
export const ProtocolTag = ({ name, port }: { name: string | null; port?: number }) =>
    name === null ? (
        <span class="tag quiet" title={`Only bytes and connections are known. ${whyUnread(port ? [port] : [])}`}>
            {port !== undefined && usuallyTls(port) ? "TLS, not read" : "not read"}
        </span>
    ) : (
        <span class="tag">{protocol(name)}</span>
    );

export const EntityLink = ({ id, name }: { id: string; name: string }) => (
    <a class="entity" href={link("service", id)}>
        {name}
    </a>
);

export const Ends = ({ edge }: { edge: Edge }) => (
    <>
        <EntityLink id={edge.client} name={edge.client_name} />
        <span class="dim"> → </span>
        <EntityLink id={edge.server} name={edge.server_name} />
    </>
);

export function iconOf(kind: NodeKind, protocols: readonly string[]): IconName {
    if (kind === "database") return protocols.includes("redis") ? "cache" : "database";
    return kind;
}
