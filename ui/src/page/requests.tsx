// Slow and failed requests, one by one.

import type { Requests } from "../api/types";
import { Answered, Banner, Nothing } from "../part/states";
import { RequestRows, ordered } from "../request/rows";
import { useAnswer } from "../state/live";
import { change, oneOf, text } from "../state/place";

const KINDS = [
    ["", "All that are kept"],
    ["slowest", "Slowest"],
    ["error", "Failed"],
    ["random", "Chosen by chance"],
] as const;

/** As the agent wants them; what is no number is not asked. */
const milliseconds = (key: string): string => (/^\d+(\.\d+)?$/.test(text(key)) ? text(key) : "");

function Field({ name, label, numeric, wide }: { name: string; label: string; numeric?: boolean; wide?: boolean }) {
    return (
        <label class={wide ? "wide" : undefined}>
            {label}
            <input
                type="text"
                inputMode={numeric ? "decimal" : "text"}
                value={text(name)}
                spellcheck={false}
                onChange={(event) => change({ [name]: event.currentTarget.value.trim(), req: undefined })}
            />
        </label>
    );
}

function Choice({ name, label, values }: { name: string; label: string; values: readonly (readonly [value: string, words: string])[] }) {
    return (
        <label>
            {label}
            <select value={text(name)} onChange={(event) => change({ [name]: event.currentTarget.value, req: undefined })}>
                {values.map(([value, words]) => (
                    <option key={value} value={value}>
                        {words}
                    </option>
                ))}
            </select>
        </label>
    );
}

export function RequestsPage() {
    const why = oneOf("why", ["", "slowest", "error", "random"]);
    const side = oneOf("side", ["", "client", "server"]);
    const failed = oneOf("failed", ["", "true", "false"]);
    const asked = useAnswer<Requests>("requests", {
        why,
        side,
        failed,
        service: text("service"),
        operation: text("operation"),
        min_ms: milliseconds("min_ms"),
        max_ms: milliseconds("max_ms"),
        namespace: text("ns"),
        text: text("q"),
        ...ordered(),
        limit: 500,
    });
    const names = ["service", "operation", "min_ms", "max_ms", "q", "ns"];
    const filtered = [why, side, failed, ...names.map(text)].some((value) => value !== "");
    return (
        <div class="padded">
            <h1>Requests</h1>
            <p class="dim">The slowest, a random one and some failed ones of each operation and minute are kept; literals are removed before.</p>
            <Banner meta={asked.answer?.meta ?? null} refusal={asked.refusal} />
            <form class="filters" aria-label="Which requests" onSubmit={(event) => event.preventDefault()}>
                <Choice name="why" label="Kept as" values={KINDS} />
                <Choice
                    name="side"
                    label="Side"
                    values={[
                        ["", "Both"],
                        ["client", "Client"],
                        ["server", "Server"],
                    ]}
                />
                <Choice
                    name="failed"
                    label="Outcome"
                    values={[
                        ["", "Any"],
                        ["true", "Failed"],
                        ["false", "Did not fail"],
                    ]}
                />
                <Field name="service" label="Server" />
                <Field name="operation" label="Operation" wide />
                <Field name="min_ms" label="From, ms" numeric />
                <Field name="max_ms" label="Below, ms" numeric />
                {filtered && (
                    <button
                        type="button"
                        onClick={() =>
                            change({
                                why: undefined,
                                side: undefined,
                                failed: undefined,
                                service: undefined,
                                operation: undefined,
                                min_ms: undefined,
                                max_ms: undefined,
                                q: undefined,
                                ns: undefined,
                                req: undefined,
                            })
                        }
                    >
                        Clear
                    </button>
                )}
            </form>
            <Answered asked={asked}>
                {(data) =>
                    data.requests.length === 0 ? (
                        <Nothing what="requests" filtered={filtered} />
                    ) : (
                        <div class="cardbox">
                            <RequestRows answer={data} />
                        </div>
                    )
                }
            </Answered>
        </div>
    );
}
