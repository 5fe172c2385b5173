// How a service fares: rate, errors, latency by side, and how durations are distributed.

import { bytesOf, shown, shownBooks } from "../../api/books";
import { knownValues } from "../../api/meta";
import type { Entity, Heatmap, Meta, Series } from "../../api/types";
import { HeatmapChart } from "../../chart/heatmap";
import { Spark } from "../../chart/spark";
import { TimeChart } from "../../chart/time";
import { change as changed, duration, full, percent, rate } from "../../format";
import { latency, perSecond, preferred, ratio, roleOf } from "../../part/signals";
import { Answered, Nothing } from "../../part/states";
import { whyUnread } from "../../part/unread";
import { useAnswer } from "../../state/live";
import { change } from "../../state/place";
import { Endpoints } from "./endpoints";

export function Overview({ entity }: { entity: Entity }) {
    const role = roleOf(entity.node);
    const series = useAnswer<Series>("series", { [role]: entity.node.id, points: 180 });
    return (
        <Answered asked={series}>
            {(data, meta) =>
                data.series.length === 0 ? <Silent entity={entity} /> : <Signals entity={entity} role={role} data={data} meta={meta} />
            }
        </Answered>
    );
}

/** Nothing was read: because nothing was said, or because what was said cannot be read. */
function Silent({ entity }: { entity: Entity }) {
    const unread = [...entity.callers, ...entity.dependencies].filter((edge) => edge.protocol === null && bytesOf(shownBooks(edge.books)) > 0);
    if (unread.length === 0) {
        return (
            <Nothing what="requests" filtered={false}>
                <p>No request of it, or to it, was read. What the kernel knows of its connections stands under Network (L4).</p>
            </Nothing>
        );
    }
    const ports = [...new Set(unread.map(({ port }) => port))].slice(0, 5);
    return (
        <div class="empty" role="status">
            <h2>Bytes, but no request that could be read</h2>
            <p>{whyUnread(ports)}</p>
            <p>Its connections, bytes and round trips are known:</p>
            <button type="button" onClick={() => change({ tab: "network" })}>
                Network (L4)
            </button>
        </div>
    );
}

function Signals({ entity, role, data, meta }: { entity: Entity; role: "server" | "client"; data: Series; meta: Meta }) {
    const { node, before } = entity;
    const signals = role === "server" ? node.answers : node.asks;
    const now = shown(signals);
    const was = shown(before);
    const points = preferred(data);
    const { lines, gap } = latency(data);
    const of = (side: "client" | "server") => data.series.find((line) => line.side === side)?.exchanges;
    if (!points || !now) return <Silent entity={entity} />;
    const chart = { times_ms: data.times_ms, meta };
    const known = (values: readonly (number | null)[]) => knownValues(values, data.times_ms, meta);
    const bad = now.error_ratio > 0.05 ? "failing" : now.error_ratio > 0.01 ? "degraded" : "";
    const quantile = (side: "client" | "server") => {
        const ns = signals[side]?.duration?.p95_ns;
        const previous = before[side]?.duration?.p95_ns;
        return (
            <div class="stat">
                <span>p95 {side} side</span>
                <b>{ns === undefined ? "–" : duration(ns)}</b>
                <small>{ns === undefined ? `the ${side} is not watched` : previous === undefined ? "" : `was ${duration(previous)}`}</small>
                <Spark values={known(of(side)?.p95_ns ?? [])} tone={side} />
            </div>
        );
    };
    return (
        <>
            <div class="stats">
                <div class="stat">
                    <span>{role === "server" ? "Requests" : "Requests made"}</span>
                    <b>{rate(now.rate)}</b>
                    <small>{(was && changed(now.rate, was.rate)) ?? ""}</small>
                    <Spark values={known(points.count)} />
                </div>
                <div class="stat">
                    <span>Errors</span>
                    <b class={bad}>{percent(now.error_ratio)}</b>
                    <small>{was ? `was ${percent(was.error_ratio)}` : ""}</small>
                    <Spark values={known(points.errors)} tone="bad" />
                </div>
                {quantile("client")}
                {quantile("server")}
            </div>
            <div class="grid three">
                <TimeChart
                    title={role === "server" ? "Requests" : "Requests made"}
                    {...chart}
                    format={rate}
                    lines={[{ label: "requests/s", values: perSecond(points.count, meta.step_ms), tone: "accent", area: true }]}
                />
                <TimeChart
                    title="Errors"
                    {...chart}
                    format={percent}
                    least={0.05}
                    lines={[{ label: "share that failed", values: ratio(points.errors, points.count), tone: "bad", area: true }]}
                />
                <TimeChart
                    title="Latency p95"
                    note={gap ? "the gap is time outside the server" : undefined}
                    {...chart}
                    format={duration}
                    lines={lines}
                    gap={gap}
                />
            </div>
            <div class="grid two">
                {(["client", "server"] as const).map(
                    (side) => signals[side] && <Distribution key={side} id={node.id} name={full(node)} role={role} side={side} />,
                )}
            </div>
            {of("server") && role === "server" && (
                <div class="grid two">
                    <TimeChart
                        title="At the server, p95"
                        note="where its time goes"
                        {...chart}
                        format={duration}
                        lines={[
                            { label: "queue", values: of("server")?.queue_p95_ns ?? [], tone: "queue" },
                            { label: "service", values: of("server")?.service_p95_ns ?? [], tone: "server" },
                        ]}
                    />
                    <TimeChart
                        title="Quantiles"
                        note={`${signals.preferred} side`}
                        {...chart}
                        format={duration}
                        lines={[
                            { label: "p99", values: points.p99_ns, tone: "p99" },
                            { label: "p95", values: points.p95_ns, tone: "accent" },
                            { label: "p50", values: points.p50_ns, tone: "dim" },
                        ]}
                    />
                </div>
            )}
            {role === "server" && <Endpoints id={node.id} limit={8} />}
        </>
    );
}

function Distribution({ id, name, role, side }: { id: string; name: string; role: "server" | "client"; side: "client" | "server" }) {
    const { answer } = useAnswer<Heatmap>("heatmap", { [role]: id, side, columns: 160 });
    if (answer === null || answer.data.side === null) return null;
    return (
        <HeatmapChart
            title={`Latency distribution, ${side} side`}
            answer={answer.data}
            step_ms={answer.meta.step_ms}
            range={answer.meta.range}
            requests={role === "server" ? { service: name, side } : { side }}
        />
    );
}
