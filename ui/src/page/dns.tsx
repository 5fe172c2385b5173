// Which names are looked up, and what comes of it.

import { knownSeconds } from "../api/meta";
import { shown } from "../api/books";
import type { Code, Dns, Question, Series } from "../api/types";
import { TimeChart } from "../chart/time";
import { count, duration, exact, percent, rate } from "../format";
import { EdgeTable } from "../map/edges";
import { byName } from "../part/signals";
import { Answered, Banner, Nothing } from "../part/states";
import { type Column, Shown, Table } from "../part/table";
import { useAnswer } from "../state/live";
import { link, text } from "../state/place";

const GOOD = new Set(["NOERROR"]);

const Codes = ({ codes }: { codes: readonly Code[] }) => (
    <>
        {codes.map(({ code, count: n }) => (
            <span key={code} class={`badge ${GOOD.has(code) ? "healthy" : "failing"}`}>
                {GOOD.has(code) ? "" : "! "}
                {code} {count(n)}
            </span>
        ))}
    </>
);

const QUESTIONS: Column<Question>[] = [
    {
        title: "Question",
        cell: ({ operation }) => (
            <a class="mono operation" href={link("requests", "", { operation })}>
                {operation}
            </a>
        ),
    },
    { title: "Asked", numeric: true, cell: ({ signals }) => rate(signals?.rate) },
    {
        title: "Failed",
        numeric: true,
        cell: ({ signals }) => <span class={(signals?.error_ratio ?? 0) > 0.05 ? "failing" : undefined}>{percent(signals?.error_ratio)}</span>,
    },
    { title: "p50", numeric: true, cell: ({ signals }) => duration(signals?.duration?.p50_ns) },
    { title: "p95", numeric: true, cell: ({ signals }) => duration(signals?.duration?.p95_ns) },
    { title: "Answers", cell: ({ codes }) => <Codes codes={codes} /> },
];

export function DnsPage() {
    const asked = useAnswer<Dns>("dns", { namespace: text("ns"), text: text("q"), limit: 200 });
    const codes = useAnswer<Series>("series", { protocol: "dns", by: "status", namespace: text("ns"), points: 180, limit: 6 });
    return (
        <div class="padded">
            <h1>DNS</h1>
            <Banner meta={asked.answer?.meta ?? null} refusal={asked.refusal} />
            <Answered asked={asked}>
                {(dns, meta) => {
                    const all = shown(dns.signals);
                    if (all === undefined && text("q") === "") return <Nothing what="DNS questions" filtered={text("ns") !== ""} />;
                    return (
                        <>
                            <div class="stats">
                                <div class="stat">
                                    <span>Questions</span>
                                    <b>{rate(all?.rate)}</b>
                                </div>
                                <div class="stat">
                                    <span>Failed</span>
                                    <b class={(all?.error_ratio ?? 0) > 0.05 ? "failing" : ""}>{percent(all?.error_ratio)}</b>
                                </div>
                                <div class="stat">
                                    <span>p95 client side</span>
                                    <b>{duration(dns.signals.client?.duration?.p95_ns)}</b>
                                </div>
                                <div class="stat">
                                    <span>p95 server side</span>
                                    <b>{duration(dns.signals.server?.duration?.p95_ns)}</b>
                                </div>
                            </div>
                            <div class="grid two">
                                {codes.answer && codes.answer.data.series.length > 0 && (
                                    <TimeChart
                                        title="Answers by code"
                                        times_ms={codes.answer.data.times_ms}
                                        meta={codes.answer.meta}
                                        format={rate}
                                        lines={byName(codes.answer.data, codes.answer.meta.step_ms, (points) => points.count)}
                                    />
                                )}
                                <section class="cardbox">
                                    <h2>Answers</h2>
                                    <ul class="bars">
                                        {dns.codes.map(({ code, count: n }) => {
                                            const share =
                                                n /
                                                Math.max(
                                                    1,
                                                    dns.codes.reduce((sum, known) => sum + known.count, 0),
                                                );
                                            return (
                                                <li key={code}>
                                                    <span class="mono">{code}</span>
                                                    <span class="bar">
                                                        <i class={GOOD.has(code) ? "good" : "bad"} style={{ width: `${share * 100}%` }} />
                                                    </span>
                                                    <span class="num">
                                                        {exact(n)} · {percent(share)}
                                                    </span>
                                                </li>
                                            );
                                        })}
                                    </ul>
                                </section>
                            </div>
                            <section class="cardbox">
                                <h2>Questions</h2>
                                {dns.questions.length === 0 ? (
                                    <Nothing what="questions" />
                                ) : (
                                    <Table caption="Questions" columns={QUESTIONS} rows={dns.questions} id={({ operation }) => operation} />
                                )}
                                <Shown shown={dns.questions.length} total={dns.total} what="questions" />
                            </section>
                            <section class="cardbox">
                                <h2>Who asks whom</h2>
                                {dns.resolvers.length === 0 ? (
                                    <p class="none">Nobody.</p>
                                ) : (
                                    <EdgeTable caption="Who asks whom" edges={dns.resolvers} seconds={knownSeconds(meta)} />
                                )}
                                <Shown shown={dns.resolvers.length} total={dns.resolvers_total} what="edges" how="the busiest first" />
                            </section>
                        </>
                    );
                }}
            </Answered>
        </div>
    );
}
