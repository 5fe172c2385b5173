// All that is known of one request.

import { useState } from "preact/hooks";
import type { Instants, Request } from "../api/types";
import { bytes, clockExact, duration } from "../format";
import { copied } from "../part/copy";
import { Icon } from "../part/icons";
import { change } from "../state/place";
import { type Whole, lasted, parts } from "./halves";

const INSTANTS: [keyof Instants, string][] = [
    ["arrival", "arrived in the server's socket"],
    ["start", "first byte of the request"],
    ["request_end", "last byte of the request"],
    ["first_byte", "first byte of the response"],
    ["end", "last byte of the response"],
];

export function Detail({ whole }: { whole: Whole }) {
    const [said, setSaid] = useState("");
    const records = [whole.client, whole.server].filter((record) => record !== undefined);
    const copy = (): void => {
        const json = JSON.stringify(records, null, 2);
        void copied(json).then((done) => setSaid(done ? "copied" : "the browser refuses to copy"));
    };
    const { exchange } = whole.main;
    return (
        <aside class="detail" aria-label="One request">
            <button type="button" class="plain close" aria-label="Close" onClick={() => change({ req: undefined })}>
                <Icon name="close" />
            </button>
            <h2 class="mono">{exchange.operation}</h2>
            <p class="dim">
                {duration(lasted(whole))} in all, {exchange.outcome}, {bytes(exchange.request_bytes)} asked, {bytes(exchange.response_bytes)} answered
            </p>
            <ul class="parts">
                {parts(whole).map(({ kind, ns, words }) => (
                    <li key={kind}>
                        <i class={`swatch ${kind}`} />
                        <b>{duration(ns)}</b> {words}
                    </li>
                ))}
            </ul>
            {records.map((record) => (
                <Record key={record.exchange.side} record={record} />
            ))}
            <button type="button" onClick={copy}>
                <Icon name="copy" /> Copy as JSON
            </button>{" "}
            <span role="status" class="dim">
                {said}
            </span>
        </aside>
    );
}

function Record({ record: { exchange, instants, tcp } }: { record: Request }) {
    const began = instants.start === null ? null : nanoseconds(instants.start);
    return (
        <section>
            <h3 class={exchange.side}>At the {exchange.side}</h3>
            <table class="tight">
                <caption class="unseen">Instants at the {exchange.side}</caption>
                <tbody>
                    {INSTANTS.map(([name, words]) => {
                        const at = instants[name];
                        return (
                            <tr key={name}>
                                <th scope="row">{words}</th>
                                <td class="mono">{at === null ? "not known" : clockExact(at)}</td>
                                <td class="num mono dim">{at === null || began === null ? "" : offset(nanoseconds(at) - began)}</td>
                            </tr>
                        );
                    })}
                </tbody>
            </table>
            <Facts title="What was asked" facts={exchange.attributes} />
            {tcp && <Facts title="TCP, about then" facts={tcp} />}
        </section>
    );
}

const Facts = ({ title, facts }: { title: string; facts: Record<string, unknown> }) => (
    <dl class="facts" aria-label={title}>
        {Object.entries(facts).map(([name, value]) => (
            <div key={name}>
                <dt>{name}</dt>
                <dd class="mono">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
            </div>
        ))}
    </dl>
);

/** Within its second's day: enough to subtract two of one request. */
function nanoseconds(rfc3339: string): number {
    const fraction = /\.(\d+)/.exec(rfc3339)?.[1] ?? "0";
    return (Math.floor(Date.parse(rfc3339) / 1000) % 86_400) * 1e9 + Number(fraction.padEnd(9, "0").slice(0, 9));
}

const offset = (ns: number): string => (ns === 0 ? "0" : `${ns < 0 ? "−" : "+"}${duration(Math.abs(ns))}`);
