// Who is connected with whom, by the kernel's books.

import { knownCurve, knownSeconds } from "../api/meta";
import { bytesOf, causes, retransmitRatio, shownBooks } from "../api/books";
import type { Parameters } from "../api/client";
import type { Edge, Meta, Top } from "../api/types";
import { Spark } from "../chart/spark";
import { byteRate, count, duration, percent } from "../format";
import { useAnswer } from "../state/live";
import { text } from "../state/place";
import { Answered, Nothing } from "./states";
import { type Column, Shown, Table, sorting } from "./table";
import { EntityLink, StateDot } from "./words";

const segments = (edge: Edge): number => {
    const books = shownBooks(edge.books);
    return books ? books.segments_to_server + books.segments_to_client : 0;
};

function columns(meta: Meta): Column<Edge>[] {
    const seconds = knownSeconds(meta);
    return [
        { title: "State", cell: (edge) => <StateDot state={edge.state} /> },
        { title: "Client", sort: "name", cell: (edge) => <EntityLink id={edge.client} name={edge.client_name} /> },
        { title: "Server", cell: (edge) => <EntityLink id={edge.server} name={edge.server_name} /> },
        {
            title: "Port",
            numeric: true,
            cell: (edge) => (
                <>
                    {edge.port === 0 ? "–" : edge.port}
                    {edge.transport !== null && <span class="dim">/{edge.transport}</span>}
                    {edge.guessed && (
                        <span class="dim" title="Nobody has seen who connected to whom: the lower port is taken for the server's.">
                            {" "}
                            ?
                        </span>
                    )}
                </>
            ),
        },
        { title: "Bytes", sort: "bytes", numeric: true, cell: (edge) => byteRate(bytesOf(shownBooks(edge.books)) / seconds) },
        { title: "Packets", numeric: true, cell: (edge) => `${count(Math.round(segments(edge) / seconds))}/s` },
        { title: "Open", numeric: true, cell: (edge) => count(shownBooks(edge.books)?.open ?? 0) },
        { title: "Sent again", sort: "retransmits", numeric: true, cell: (edge) => again(edge) },
        { title: "RTT p95", sort: "rtt", numeric: true, cell: (edge) => duration((edge.books.client?.rtt ?? edge.books.server?.rtt)?.p95_ns) },
        { title: "Failed connects", sort: "failed_connects", numeric: true, cell: (edge) => failures(edge) },
        { title: "Bytes over time", cell: (edge) => <Spark values={knownCurve(edge.curve, meta)} /> },
    ];
}

function again(edge: Edge) {
    const books = shownBooks(edge.books);
    if (!books || books.retransmitted_segments === 0) return <span class="dim">0</span>;
    const share = retransmitRatio(books);
    return (
        <span class={share > 0.01 ? "degraded" : undefined}>
            {count(books.retransmitted_segments)} ({percent(share)})
        </span>
    );
}

function failures(edge: Edge) {
    const books = shownBooks(edge.books);
    const all = books ? causes(books) : [];
    return all.length === 0 ? <span class="dim">0</span> : <span class="failing">{all.map(([cause, n]) => `${count(n)} ${cause}`).join(", ")}</span>;
}

export function Connections({ of, limit, title = "Connections" }: { of: Parameters; limit: number; title?: string }) {
    const asked = useAnswer<Top>("top", { by: "connections", ...of, text: text("q"), limit, curve: 40, ...sorting("bytes") });
    return (
        <section class="cardbox">
            <h2>{title}</h2>
            <Answered asked={asked}>
                {({ edges = [], total }, meta) =>
                    edges.length === 0 ? (
                        <Nothing what="connections" />
                    ) : (
                        <>
                            <Table
                                caption={title}
                                columns={columns(meta)}
                                rows={edges}
                                sorted="bytes"
                                id={(edge) => `${edge.client} ${edge.server} ${edge.port} ${edge.transport}`}
                            />
                            <Shown shown={edges.length} total={total} what="connections" />
                        </>
                    )
                }
            </Answered>
        </section>
    );
}
