// Slow and failed requests, one by one.

import type { Requests } from "../api/types";
import { Answered, Banner, Nothing } from "../part/states";
import { RequestRows } from "../request/rows";
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
        limit: 500,
    });
    const q = text("q").toLowerCase();
    const filtered = [why, side, failed, text("service"), text("operation"), text("min_ms"), text("max_ms"), q].some((value) => value !== "");
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
                                req: undefined,
                            })
                        }
                    >
                        Clear
                    </button>
                )}
            </form>
            <Answered asked={asked}>
                {(data) => {
                    const requests =
                        q === ""
                            ? data.requests
                            : data.requests.filter(({ exchange }) =>
                                  [
                                      exchange.operation,
                                      exchange.client.service,
                                      exchange.server.service,
                                      exchange.client.ip,
                                      exchange.server.ip,
                                      exchange.protocol,
                                  ].some((name) => name?.toLowerCase().includes(q)),
                              );
                    return requests.length === 0 ? (
                        <Nothing what="requests" filtered={filtered} />
                    ) : (
                        <div class="cardbox">
                            <RequestRows answer={{ matching: q === "" ? data.matching : requests.length, requests }} />
                        </div>
                    );
                }}
            </Answered>
        </div>
    );
}
