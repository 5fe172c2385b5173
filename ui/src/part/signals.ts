// From an answer's series to the lines of charts. Client is orange and server is teal, everywhere.

import type { ExchangePoints, Line, Node, Series, SideName } from "../api/types";
import type { ChartLine } from "../chart/time";

/** Who answers nothing is shown by what it asks. */
export const roleOf = (node: Node): "server" | "client" => (node.answers.preferred === null && node.asks.preferred !== null ? "client" : "server");

const of = (series: Series, side: SideName): ExchangePoints | undefined => series.series.find((line: Line) => line.side === side)?.exchanges;

/** Quantiles by side. With both, the space between them is the time outside the server. */
export function latency(series: Series, quantile: "p50_ns" | "p95_ns" | "p99_ns" = "p95_ns"): { lines: ChartLine[]; gap: string | undefined } {
    const [client, server, network] = [of(series, "client"), of(series, "server"), of(series, "network")];
    const lines: ChartLine[] = [];
    if (client) lines.push({ label: "client", values: client[quantile], tone: "client" });
    if (server) lines.push({ label: "server", values: server[quantile], tone: "server" });
    if (network && lines.length === 0) lines.push({ label: "network", values: network[quantile], tone: "accent" });
    return { lines, gap: client && server ? "time outside the server" : undefined };
}

/** The side that has all: the server's if it is watched. */
export const preferred = (series: Series): ExchangePoints | undefined => of(series, "server") ?? of(series, "client") ?? of(series, "network");

export const perSecond = (values: readonly number[], step_ms: number): number[] => values.map((value) => (value * 1000) / step_ms);

export const ratio = (parts: readonly number[], wholes: readonly number[]): (number | null)[] =>
    parts.map((part, n) => ((wholes[n] ?? 0) > 0 ? part / (wholes[n] as number) : null));

const TONES = ["line-1", "line-2", "line-3", "line-4", "line-5", "line-6"];

/** Several series of one side each, by name: `by=protocol`. */
export function byName(series: Series, step_ms: number, of: (points: ExchangePoints) => readonly number[]): ChartLine[] {
    const best = new Map<string, Line>();
    const order: SideName[] = ["server", "client", "network"];
    for (const line of series.series) {
        const known = best.get(line.name);
        if (!known || order.indexOf(line.side) < order.indexOf(known.side)) best.set(line.name, line);
    }
    return [...best.values()].flatMap((line, n) =>
        line.exchanges ? [{ label: line.name, values: perSecond(of(line.exchanges), step_ms), tone: TONES[n % TONES.length] as string }] : [],
    );
}
