// All services in one table.

import { knownCurve, knownSeconds } from "../api/meta";
import { shown } from "../api/books";
import type { Meta, Service, Top } from "../api/types";
import { Spark } from "../chart/spark";
import { byteRate, duration, full, percent, rate } from "../format";
import { Answered, Banner, Nothing } from "../part/states";
import { type Column, Shown, Table, sorting } from "../part/table";
import { EntityLink, ProtocolTag, StateDot } from "../part/words";
import { useAnswer } from "../state/live";
import { text } from "../state/place";

const bad = (share: number | undefined): string | undefined => ((share ?? 0) > 0.05 ? "failing" : (share ?? 0) > 0.01 ? "degraded" : undefined);

function columns(meta: Meta): Column<Service>[] {
    const seconds = knownSeconds(meta);
    const answers = (row: Service) => shown(row.node.answers);
    const side = (name: "client" | "server", title: string): Column<Service>[] =>
        (["p50", "p95", "p99"] as const).map((quantile) => ({
            title: `${quantile} ${title}`,
            numeric: true,
            tone: name,
            ...(name === "server" ? { sort: quantile } : {}),
            cell: ({ node }) => duration(node.answers[name]?.duration?.[`${quantile}_ns`]),
        }));
    return [
        { title: "State", cell: ({ node }) => <StateDot state={node.health.state} /> },
        { title: "Service", sort: "name", cell: ({ node }) => <EntityLink id={node.id} name={full(node)} /> },
        { title: "Answers", cell: ({ node }) => node.protocols.map((name) => <ProtocolTag key={name} name={name} />) },
        { title: "Requests", sort: "rate", numeric: true, cell: (row) => rate(answers(row)?.rate) },
        {
            title: "Errors",
            sort: "error_ratio",
            numeric: true,
            cell: (row) => <span class={bad(answers(row)?.error_ratio)}>{percent(answers(row)?.error_ratio)}</span>,
        },
        ...side("server", "server"),
        ...side("client", "client"),
        { title: "Bytes", sort: "bytes", numeric: true, cell: ({ bytes }) => byteRate(bytes / seconds) },
        {
            title: "Requests over time",
            cell: ({ curve, node }) => (
                <Spark
                    values={knownCurve(curve, meta)}
                    tone={node.health.state === "failing" ? "bad" : node.health.state === "degraded" ? "warn" : "accent"}
                />
            ),
        },
    ];
}

export function ServicesPage() {
    const asked = useAnswer<Top>("top", { by: "services", namespace: text("ns"), text: text("q"), limit: 300, curve: 40, ...sorting("rate") });
    return (
        <div class="padded">
            <h1>Services</h1>
            <Banner meta={asked.answer?.meta ?? null} refusal={asked.refusal} />
            <Answered asked={asked}>
                {(data, meta) => {
                    const rows = data.services ?? [];
                    if (rows.length === 0) return <Nothing what="services" />;
                    return (
                        <div class="cardbox">
                            <Table caption="Services" columns={columns(meta)} rows={rows} id={({ node }) => node.id} sorted="rate" />
                            <Shown shown={rows.length} total={data.total} what="services" />
                        </div>
                    );
                }}
            </Answered>
        </div>
    );
}
