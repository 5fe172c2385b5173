// What is spoken here, and what it is spent on: the top operations of each protocol, by their share of time.

import type { Series, Top } from "../api/types";
import { TimeChart } from "../chart/time";
import { protocol, rate } from "../format";
import { Operations } from "../part/operations";
import { byName } from "../part/signals";
import { Answered, Banner, Nothing } from "../part/states";
import { Shown, sorting } from "../part/table";
import { useAnswer } from "../state/live";
import { change, text } from "../state/place";

export function ProtocolsPage() {
    const all = useAnswer<Series>("series", { by: "protocol", namespace: text("ns"), points: 180, limit: 20 });
    return (
        <div class="padded">
            <h1>Protocols</h1>
            <Banner meta={all.answer?.meta ?? null} refusal={all.refusal} />
            <Answered asked={all}>
                {(data, meta) => {
                    const names = [...new Set(data.series.map(({ name }) => name))].filter((name) => name !== "other");
                    if (names.length === 0) return <Nothing what="requests" filtered={text("ns") !== ""} />;
                    const lines = byName(data, meta.step_ms, ({ count }) => count).map((line) => ({ ...line, label: protocol(line.label) }));
                    const wanted = text("protocol");
                    const chosen = names.includes(wanted) ? wanted : (names[0] as string);
                    return (
                        <>
                            <TimeChart title="Requests by protocol" times_ms={data.times_ms} meta={meta} lines={lines} format={rate} />
                            <div class="tabs" role="group" aria-label="Protocol">
                                {names.map((name) => (
                                    <button
                                        type="button"
                                        key={name}
                                        aria-pressed={name === chosen}
                                        onClick={() => change({ protocol: name, sort: undefined, asc: undefined })}
                                    >
                                        {protocol(name)}
                                    </button>
                                ))}
                            </div>
                            <Protocol key={chosen} name={chosen} />
                        </>
                    );
                }}
            </Answered>
        </div>
    );
}

function Protocol({ name }: { name: string }) {
    const asked = useAnswer<Top>("top", {
        by: "operations",
        protocol: name,
        namespace: text("ns"),
        text: text("q"),
        limit: 200,
        curve: 40,
        ...sorting("time"),
    });
    return (
        <section class="cardbox">
            <h2>
                {protocol(name)}: top operations <span class="dim small">the share is of the time that their server spent on this protocol</span>
            </h2>
            <Answered asked={asked}>
                {({ operations = [], total }, meta) =>
                    operations.length === 0 ? (
                        <Nothing what="operations" />
                    ) : (
                        <>
                            <Operations caption={`Operations of ${protocol(name)}`} rows={operations} meta={meta} withServer sorted="time" />
                            <Shown shown={operations.length} total={total} what="operations" />
                        </>
                    )
                }
            </Answered>
        </section>
    );
}
