// States and names, in words and colours: never by colour alone.

import type { Edge, NodeKind, State } from "../api/types";
import { protocol } from "../format";
import { link } from "../state/place";
import type { IconName } from "./icons";

const STATES: Record<State, string> = { idle: "idle", healthy: "healthy", degraded: "degraded", failing: "failing" };

export const StateBadge = ({ state }: { state: State }) => <span class={`badge ${state}`}>{STATES[state]}</span>;

/** A dot with its word for those who do not see it. */
export const StateDot = ({ state }: { state: State }) => (
    <span class={`dot ${state}`} role="img" aria-label={state} title={state}>
        {state === "degraded" || state === "failing" ? "!" : ""}
    </span>
);

export const ProtocolTag = ({ name }: { name: string | null }) => (
    <span
        class={name === null ? "tag quiet" : "tag"}
        title={name === null ? "Only bytes and connections are known: TLS, or a protocol that is not read." : undefined}
    >
        {protocol(name)}
    </span>
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
