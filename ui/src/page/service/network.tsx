// What the kernel says of a service's connections.

import { knownSeconds } from "../../api/meta";
import { causes, retransmitRatio } from "../../api/books";
import type { Books, Entity, Meta, Series } from "../../api/types";
import { BookCharts } from "../../part/books";
import { byteRate, count, duration, percent } from "../../format";
import { Connections } from "../../part/connections";
import { Answered } from "../../part/states";
import { useAnswer } from "../../state/live";

export function Network({ entity, meta }: { entity: Entity; meta: Meta }) {
    const { node, answering, asking } = entity;
    const series = useAnswer<Series>("series", { entity: node.id, what: "books", points: 180 });
    const seconds = knownSeconds(meta);
    return (
        <>
            <Answered asked={series}>{(data, told) => <BookCharts data={data} meta={told} />}</Answered>
            <div class="grid two">
                {answering && <Whole title="As a server" books={answering} seconds={seconds} />}
                {asking && <Whole title="As a client" books={asking} seconds={seconds} />}
            </div>
            {!answering && !asking && <p class="none">The kernel told of none of its connections in this range.</p>}
            <Connections of={{ entity: node.id }} limit={200} />
        </>
    );
}

function Whole({ title, books, seconds }: { title: string; books: Books; seconds: number }) {
    const failed = causes(books);
    const facts: [string, string][] = [
        ["open now", count(books.open)],
        ["opened, closed", `${count(books.opened)}, ${count(books.closed)}`],
        ["bytes to the server", byteRate(books.bytes_to_server / seconds)],
        ["bytes to the client", byteRate(books.bytes_to_client / seconds)],
        ["sent again", `${count(books.retransmitted_segments)} segments, ${percent(retransmitRatio(books))}`],
        ["lost, reordered, duplicate", `${count(books.lost_segments)}, ${count(books.reordered)}, ${count(books.duplicate_segments)} segments`],
        ["RTT p50, p95, least", `${duration(books.rtt?.p50_ns)}, ${duration(books.rtt?.p95_ns)}, ${duration(books.rtt_min_ns)}`],
        ["connect p95", duration(books.connect?.p95_ns)],
        ["wait for accept p95", duration(books.accept_wait?.p95_ns)],
        ["failed connects", failed.length === 0 ? "none" : failed.map(([cause, n]) => `${count(n)} ${cause}`).join(", ")],
        ["reset by client, by server", `${count(books.resets_by_client)}, ${count(books.resets_by_server)}`],
        [
            "held up by the receiver, by the buffer",
            `${duration(books.receive_window_us * 1000)}, ${duration(books.send_buffer_us * 1000)} of ${duration(books.busy_us * 1000)} busy`,
        ],
    ];
    return (
        <section class="cardbox">
            <h2>{title}</h2>
            <dl class="facts">
                {facts.map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
            </dl>
        </section>
    );
}
