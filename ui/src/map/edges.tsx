// The map's twin: the same edges as a table.

import { bytesOf, shown, shownBooks } from "../api/books";
import type { Edge } from "../api/types";
import { byteRate, duration, percent, rate } from "../format";
import { type Column, Table } from "../part/table";
import { EntityLink, ProtocolTag, StateDot } from "../part/words";

export const edgeId = (edge: Edge): string => `${edge.client} ${edge.server} ${edge.port} ${edge.protocol} ${edge.transport}`;

const errors = (edge: Edge): string => percent(shown(edge.signals)?.error_ratio);

/** Of a list of edges of one entity, the other end is what there is to tell. */
export function edgeColumns(seconds: number, ends: "both" | "client" | "server" = "both"): Column<Edge>[] {
    return [
        { title: "State", cell: (edge) => <StateDot state={edge.state} /> },
        ...(ends === "server" ? [] : [{ title: "Client", cell: (edge: Edge) => <EntityLink id={edge.client} name={edge.client_name} /> }]),
        ...(ends === "client" ? [] : [{ title: "Server", cell: (edge: Edge) => <EntityLink id={edge.server} name={edge.server_name} /> }]),
        { title: "Protocol", cell: (edge) => <ProtocolTag name={edge.protocol} port={edge.port} /> },
        { title: "Port", numeric: true, cell: (edge) => (edge.port === 0 ? "–" : edge.port) },
        { title: "Requests", numeric: true, cell: (edge) => rate(shown(edge.signals)?.rate) },
        { title: "Errors", numeric: true, cell: (edge) => <span class={bad(edge)}>{errors(edge)}</span> },
        { title: "p95 client", numeric: true, tone: "client", cell: (edge) => duration(edge.signals.client?.duration?.p95_ns) },
        { title: "p95 server", numeric: true, tone: "server", cell: (edge) => duration(edge.signals.server?.duration?.p95_ns) },
        { title: "Bytes", numeric: true, cell: (edge) => byteRate(bytesOf(shownBooks(edge.books)) / seconds) },
    ];
}

function bad(edge: Edge): string | undefined {
    const ratio = shown(edge.signals)?.error_ratio ?? 0;
    return ratio > 0.05 ? "failing" : ratio > 0.01 ? "degraded" : undefined;
}

export const EdgeTable = ({
    caption,
    edges,
    seconds,
    ends = "both",
}: {
    caption: string;
    edges: readonly Edge[];
    seconds: number;
    ends?: "both" | "client" | "server";
}) => <Table caption={caption} columns={edgeColumns(seconds, ends)} rows={edges} id={edgeId} />;
