// One entity, beside the map: how it fares, why, and whom it talks to.

import { knownSeconds } from "../api/meta";
import { bytesOf, shown, shownBooks } from "../api/books";
import type { Edge, Entity, Heatmap, Meta, Series } from "../api/types";
import { HeatmapChart } from "../chart/heatmap";
import { TimeChart } from "../chart/time";
import { byteRate, duration, full, many, percent, protocol, rate } from "../format";
import { Icon } from "../part/icons";
import { Findings } from "../part/findings";
import { Answered } from "../part/states";
import { Shown } from "../part/table";
import { ProtocolTag, StateBadge } from "../part/words";
import { useAnswer } from "../state/live";
import { change, link } from "../state/place";
import { latency, roleOf } from "../part/signals";

export function Panel({ id }: { id: string }) {
    const entity = useAnswer<Entity>("entity", { id });
    return (
        <aside class="panel" aria-label="Selected service">
            <button type="button" class="plain close" aria-label="Close" onClick={() => change({ sel: undefined })}>
                <Icon name="close" />
            </button>
            <Answered asked={entity}>{(data, meta) => <Focus entity={data} meta={meta} />}</Answered>
        </aside>
    );
}

function Focus({ entity, meta }: { entity: Entity; meta: Meta }) {
    const { node } = entity;
    const role = roleOf(node);
    const signals = role === "server" ? node.answers : node.asks;
    const whole = shown(signals);
    const series = useAnswer<Series>("series", { [role]: node.id, points: 120 });
    const heat = useAnswer<Heatmap>("heatmap", { [role]: node.id, columns: 90 });
    const seconds = knownSeconds(meta);
    const p95 = signals.client?.duration?.p95_ns ?? whole?.duration?.p95_ns;
    return (
        <>
            <header>
                <h2>
                    <a href={link("service", node.id)}>{full(node)}</a>
                </h2>
                <StateBadge state={node.health.state} />
                <p class="dim">
                    {[
                        node.kind,
                        node.protocols.map(protocol).join(", "),
                        node.ports.length > 0 ? `port ${node.ports.join(", ")}` : "",
                        entity.processes.length > 0 ? many(entity.processes.length, "process", "processes") : "",
                    ]
                        .filter((part) => part !== "")
                        .join(" · ")}
                </p>
            </header>
            {whole && (
                <div class="stats three">
                    <div class="stat">
                        <span>{role === "server" ? "Requests" : "Requests made"}</span>
                        <b>{rate(whole.rate)}</b>
                    </div>
                    <div class="stat">
                        <span>Errors</span>
                        <b class={whole.error_ratio > 0.05 ? "failing" : whole.error_ratio > 0.01 ? "degraded" : ""}>{percent(whole.error_ratio)}</b>
                    </div>
                    <div class="stat">
                        <span>p95 {signals.client ? "client" : signals.preferred}</span>
                        <b class={node.health.findings.some(({ about }) => about === "queue" || about === "service") ? "degraded" : ""}>
                            {duration(p95)}
                        </b>
                    </div>
                </div>
            )}
            {series.answer && series.answer.data.series.length > 0 && (
                <TimeChart
                    title="Latency p95"
                    note="client vs server side"
                    times_ms={series.answer.data.times_ms}
                    meta={series.answer.meta}
                    format={duration}
                    height={120}
                    {...latency(series.answer.data)}
                />
            )}
            <Findings findings={node.health.findings} />
            {heat.answer && heat.answer.data.side !== null && (
                <HeatmapChart
                    title="Latency distribution"
                    note={`${heat.answer.data.side} side`}
                    answer={heat.answer.data}
                    step_ms={heat.answer.meta.step_ms}
                    range={heat.answer.meta.range}
                    requests={role === "server" ? { service: full(node) } : {}}
                    height={130}
                />
            )}
            <h3>Callers and dependencies</h3>
            {entity.callers.length + entity.dependencies.length === 0 ? (
                <p class="dim">Nobody, in this range.</p>
            ) : (
                <table class="tight">
                    <caption class="unseen">Callers and dependencies of {full(node)}</caption>
                    <thead class="unseen">
                        <tr>
                            <th scope="col">Way</th>
                            <th scope="col">Who</th>
                            <th scope="col">Protocol</th>
                            <th scope="col">Rate</th>
                            <th scope="col">p95, or errors</th>
                        </tr>
                    </thead>
                    <tbody>
                        {entity.callers.map((edge) => (
                            <Row
                                key={`in ${edge.client} ${edge.port} ${edge.protocol}`}
                                way="in"
                                id={edge.client}
                                name={edge.client_name}
                                edge={edge}
                                seconds={seconds}
                            />
                        ))}
                        {entity.dependencies.map((edge) => (
                            <Row
                                key={`out ${edge.server} ${edge.port} ${edge.protocol}`}
                                way="out"
                                id={edge.server}
                                name={edge.server_name}
                                edge={edge}
                                seconds={seconds}
                            />
                        ))}
                    </tbody>
                </table>
            )}
            <Shown
                shown={entity.callers.length + entity.dependencies.length}
                total={entity.callers_total + entity.dependencies_total}
                what="edges"
                how="the busiest are here"
            />
        </>
    );
}

function Row({ way, id, name, edge, seconds }: { way: "in" | "out"; id: string; name: string; edge: Edge; seconds: number }) {
    const signals = shown(edge.signals);
    const failing = signals !== undefined && signals.error_ratio > 0.01;
    return (
        <tr>
            <td class="dim">{way}</td>
            <td>
                <button type="button" class="plain entity" onClick={() => change({ sel: id })}>
                    {name}
                </button>
            </td>
            <td>
                <ProtocolTag name={edge.protocol} port={edge.port} />
            </td>
            <td class="num">{signals ? rate(signals.rate) : byteRate(bytesOf(shownBooks(edge.books)) / seconds)}</td>
            <td class={edge.state === "degraded" || edge.state === "failing" ? `num ${edge.state}` : "num"}>
                {failing
                    ? `${percent(signals.error_ratio)} err`
                    : signals
                      ? duration((edge.signals.client ?? signals).duration?.p95_ns)
                      : edge.state === "failing"
                        ? "no connection"
                        : ""}
            </td>
        </tr>
    );
}
