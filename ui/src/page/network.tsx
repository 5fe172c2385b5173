// What the kernel says: who moves how much, what is sent again, what cannot connect, and who is outside.

import { knownSeconds } from "../api/meta";
import { bytesOf, causes, shown, shownBooks } from "../api/books";
import type { Edge, Meta, Series, Top, Topology } from "../api/types";
import { byteRate, count, duration, full, many, rate } from "../format";
import { BookCharts } from "../part/books";
import { Connections } from "../part/connections";
import { Answered, Banner } from "../part/states";
import { type Column, Table } from "../part/table";
import { EntityLink, StateDot } from "../part/words";
import { useAnswer } from "../state/live";
import { text } from "../state/place";

export function NetworkPage() {
    const series = useAnswer<Series>("series", { what: "books", namespace: text("ns"), points: 180 });
    return (
        <div class="padded">
            <h1>Network</h1>
            <Banner meta={series.answer?.meta ?? null} refusal={series.refusal} />
            <Answered asked={series}>{(data, meta) => <BookCharts data={data} meta={meta} />}</Answered>
            <Connections of={{ namespace: text("ns") }} limit={200} title="Talkers" />
            <Failed />
            <Outside />
        </div>
    );
}

interface Cause {
    edge: Edge;
    cause: string;
    count: number;
}

const FAILED: Column<Cause>[] = [
    { title: "Client", cell: ({ edge }) => <EntityLink id={edge.client} name={edge.client_name} /> },
    { title: "Could not reach", cell: ({ edge }) => <EntityLink id={edge.server} name={edge.server_name} /> },
    { title: "Port", numeric: true, cell: ({ edge }) => edge.port },
    { title: "Cause", cell: ({ cause }) => <span class="badge failing">! {cause}</span> },
    { title: "Times", numeric: true, cell: (row) => count(row.count) },
];

const MOST_FAILED = 100;

function Failed() {
    const asked = useAnswer<Top>("top", {
        by: "connections",
        sort: "failed_connects",
        namespace: text("ns"),
        text: text("q"),
        limit: MOST_FAILED,
    });
    return (
        <section class="cardbox">
            <h2>Failed connects, by cause</h2>
            <Answered asked={asked}>
                {({ edges = [] }) => {
                    const found = edges.map((edge): [Edge, [string, number][]] => {
                        const books = shownBooks(edge.books);
                        return [edge, books ? causes(books) : []];
                    });
                    const rows = found.flatMap(([edge, all]) => all.map(([cause, n]): Cause => ({ edge, cause, count: n })));
                    if (rows.length === 0)
                        return (
                            <p class="none">
                                {text("q") === ""
                                    ? "Every connect that was tried has succeeded."
                                    : "Of those that match, every connect has succeeded."}
                            </p>
                        );
                    return (
                        <>
                            <Table
                                caption="Failed connects"
                                columns={FAILED}
                                rows={rows}
                                id={({ edge, cause }) => `${edge.client} ${edge.server} ${edge.port} ${cause}`}
                            />
                            {edges.length === MOST_FAILED && found.every(([, all]) => all.length > 0) && (
                                <p class="shown">the {MOST_FAILED} edges with the most failed connects; a filter shows others</p>
                            )}
                        </>
                    );
                }}
            </Answered>
        </section>
    );
}

function Outside() {
    const asked = useAnswer<Topology>("map", { limit: 2000, namespace: text("ns") });
    return (
        <section class="cardbox">
            <h2>
                Outside this host <span class="dim small">by the name that the DNS gave, where it gave one</span>
            </h2>
            <Answered asked={asked}>{(map, meta) => <Others map={map} meta={meta} />}</Answered>
        </section>
    );
}

function Others({ map: { nodes, edges, edges_total }, meta }: { map: Topology; meta: Meta }) {
    const seconds = knownSeconds(meta);
    const wanted = text("q").toLowerCase();
    const outside = nodes
        .filter((node) => node.kind === "external" && full(node).toLowerCase().includes(wanted))
        .map((node) => {
            const mine = edges.filter((edge) => edge.server === node.id || edge.client === node.id);
            const books = mine.reduce((sum, edge) => sum + bytesOf(shownBooks(edge.books)), 0);
            const [first] = mine;
            const rtt = mine.map((edge) => (edge.books.client?.rtt ?? edge.books.server?.rtt)?.p95_ns ?? 0);
            return {
                node,
                bytes: books / seconds,
                rtt_ns: Math.max(0, ...rtt),
                with: mine.length,
                first: first && (first.server === node.id ? first.client_name : first.server_name),
            };
        })
        .sort((a, b) => b.bytes - a.bytes);
    type Row = (typeof outside)[number];
    const columns: Column<Row>[] = [
        { title: "State", cell: ({ node }) => <StateDot state={node.health.state} /> },
        { title: "Name or address", cell: ({ node }) => <EntityLink id={node.id} name={full(node)} /> },
        { title: "Ports", cell: ({ node }) => node.ports.join(", ") || "–" },
        { title: "With", cell: (row) => (row.with > 1 ? `${row.first} and ${many(row.with - 1, "other edge")}` : (row.first ?? "–")) },
        { title: "Requests", numeric: true, cell: ({ node }) => rate((shown(node.answers) ?? shown(node.asks))?.rate) },
        { title: "Bytes", numeric: true, cell: ({ bytes }) => byteRate(bytes) },
        { title: "RTT p95", numeric: true, cell: ({ rtt_ns }) => (rtt_ns > 0 ? duration(rtt_ns) : "–") },
    ];
    return (
        <>
            {outside.length === 0 ? (
                <p class="none">Nobody outside was talked to{wanted === "" ? " in this range" : ` that matches “${wanted}”`}.</p>
            ) : (
                <Table caption="Outside this host" columns={columns} rows={outside} id={({ node }) => node.id} />
            )}
            {edges.length < edges_total && (
                <p class="shown">
                    of the busiest {edges.length} of {edges_total} edges; a shorter range shows the others
                </p>
            )}
        </>
    );
}
