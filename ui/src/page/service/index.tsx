// Everything about one service, in tabs.

import type { Entity, Meta } from "../../api/types";
import { full, many, protocol } from "../../format";
import { Findings } from "../../part/findings";
import { Answered, Banner } from "../../part/states";
import { StateBadge } from "../../part/words";
import { useAnswer } from "../../state/live";
import { change, link, oneOf, place } from "../../state/place";
import { Dependencies } from "./dependencies";
import { Endpoints } from "./endpoints";
import { Network } from "./network";
import { Overview } from "./overview";
import { Processes } from "./processes";
import { ServiceRequests } from "./requests";

const TABS = ["overview", "endpoints", "dependencies", "network", "requests", "processes"] as const;
const TITLES: Record<(typeof TABS)[number], string> = {
    overview: "Overview",
    endpoints: "Endpoints",
    dependencies: "Dependencies",
    network: "Network (L4)",
    requests: "Requests",
    processes: "Processes",
};

export function ServicePage() {
    const { id } = place.value;
    const asked = useAnswer<Entity>("entity", { id });
    return (
        <div class="padded">
            <Banner meta={asked.answer?.meta ?? null} refusal={asked.refusal} />
            <Answered asked={asked}>{(entity, meta) => <Whole entity={entity} meta={meta} />}</Answered>
        </div>
    );
}

function Whole({ entity, meta }: { entity: Entity; meta: Meta }) {
    const { node } = entity;
    const tab = oneOf("tab", TABS);
    const about = [
        node.namespace === "" ? "" : `namespace ${node.namespace}`,
        node.kind,
        node.protocols.length > 0 ? `${node.protocols.map(protocol).join(", ")}${node.ports.length > 0 ? ` :${node.ports.join(", :")}` : ""}` : "",
        node.listening.length > 0 ? `listens at ${node.listening.join(", ")}` : "",
        inhabitants(entity),
    ].filter((part) => part !== "");
    const step = (event: KeyboardEvent): void => {
        const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
        if (by === 0) return;
        const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length] as string;
        change({ tab: next === "overview" ? undefined : next, sort: undefined, asc: undefined, req: undefined });
        document.getElementById(`tab-${next}`)?.focus();
    };
    return (
        <>
            <header class="title">
                <h1>{full(node)}</h1>
                <StateBadge state={node.health.state} />
                <a class="right" href={link("map", "", { sel: node.id })}>
                    on the map
                </a>
                <p class="dim">{about.join(" · ")}</p>
            </header>
            <div class="tabs" role="tablist" aria-label="Parts of this service" onKeyDown={step}>
                {TABS.map((name) => (
                    <button
                        type="button"
                        role="tab"
                        key={name}
                        id={`tab-${name}`}
                        aria-selected={name === tab}
                        aria-controls="tabpanel"
                        tabIndex={name === tab ? 0 : -1}
                        onClick={() => change({ tab: name === "overview" ? undefined : name, sort: undefined, asc: undefined, req: undefined })}
                    >
                        {name === "processes" && entity.processes.some(({ pod }) => pod !== "") ? "Pods" : TITLES[name]}
                    </button>
                ))}
            </div>
            <div role="tabpanel" id="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={-1}>
                <Findings findings={node.health.findings} />
                {tab === "overview" && <Overview entity={entity} />}
                {tab === "endpoints" && <Endpoints id={node.id} limit={300} />}
                {tab === "dependencies" && <Dependencies entity={entity} meta={meta} />}
                {tab === "network" && <Network entity={entity} meta={meta} />}
                {tab === "requests" && <ServiceRequests node={node} />}
                {tab === "processes" && <Processes entity={entity} />}
            </div>
        </>
    );
}

/** `4 pods, 9 processes`. */
function inhabitants({ processes }: Entity): string {
    const pods = new Set(processes.map(({ pod }) => pod).filter((pod) => pod !== "")).size;
    const all = [pods > 0 ? many(pods, "pod") : "", processes.length > 0 ? many(processes.length, "process", "processes") : ""];
    return all.filter((part) => part !== "").join(", ");
}
