// Operations: of a service, of a protocol.

import { shown } from "../api/books";
import { knownCurve } from "../api/meta";
import type { Meta, Operation } from "../api/types";
import { Spark } from "../chart/spark";
import { duration, percent, rate } from "../format";
import { link } from "../state/place";
import { type Column, Table } from "./table";
import { EntityLink, ProtocolTag } from "./words";

const bad = (share: number | undefined): string | undefined => ((share ?? 0) > 0.05 ? "failing" : (share ?? 0) > 0.01 ? "degraded" : undefined);

/** `GET /users` with its verb apart, where it has one. */
function Name({ operation, server, text }: { operation: string; server: string; text: string }) {
    const [, verb, rest] = /^([A-Z]{2,10}) (\/.*)$/.exec(text) ?? [];
    return (
        <a class="mono operation" title={text} href={link("requests", "", { service: server, operation })}>
            {verb === undefined ? (
                text
            ) : (
                <>
                    <span class="dim">{verb}</span> {rest}
                </>
            )}
        </a>
    );
}

function operationColumns(withServer: boolean, meta: Meta): Column<Operation>[] {
    return [
        { title: "Operation", sort: "name", cell: (row) => <Name operation={row.operation} server={row.server_name} text={row.operation} /> },
        ...(withServer
            ? [{ title: "Server", cell: (row: Operation) => <EntityLink id={row.server} name={row.server_name} /> }]
            : [{ title: "Protocol", cell: (row: Operation) => <ProtocolTag name={row.protocol} /> }]),
        {
            title: "Share of time",
            sort: "time",
            numeric: true,
            cell: (row) => (
                <span class="share">
                    <span class="track">
                        <i style={{ width: `${Math.min(row.share, 1) * 100}%` }} />
                    </span>
                    {percent(row.share)}
                </span>
            ),
        },
        { title: "Requests", sort: "rate", numeric: true, cell: (row) => rate(shown(row.signals)?.rate) },
        {
            title: "Errors",
            sort: "error_ratio",
            numeric: true,
            cell: (row) => <span class={bad(shown(row.signals)?.error_ratio)}>{percent(shown(row.signals)?.error_ratio)}</span>,
        },
        { title: "p50", sort: "p50", numeric: true, cell: (row) => duration(shown(row.signals)?.duration?.p50_ns) },
        { title: "p95 client", numeric: true, tone: "client", cell: (row) => duration(row.signals.client?.duration?.p95_ns) },
        { title: "p95 server", sort: "p95", numeric: true, tone: "server", cell: (row) => duration(row.signals.server?.duration?.p95_ns) },
        { title: "p99", sort: "p99", numeric: true, cell: (row) => duration(shown(row.signals)?.duration?.p99_ns) },
        {
            title: "Requests over time",
            cell: (row) => <Spark values={knownCurve(row.curve, meta)} tone={bad(shown(row.signals)?.error_ratio) ? "warn" : "accent"} />,
        },
    ];
}

export const Operations = ({
    caption,
    rows,
    meta,
    withServer,
    sorted,
}: {
    caption: string;
    rows: readonly Operation[];
    meta: Meta;
    withServer: boolean;
    sorted: string;
}) => (
    <Table
        caption={caption}
        columns={operationColumns(withServer, meta)}
        rows={rows}
        sorted={sorted}
        id={(row) => `${row.server} ${row.protocol} ${row.namespace} ${row.operation}`}
    />
);
