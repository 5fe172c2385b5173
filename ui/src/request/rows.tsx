// Requests that were kept one by one, each with a bar of where its time went, all to one scale.

import type { End, Requests } from "../api/types";
import { clockExact, duration } from "../format";
import { type Column, Table } from "../part/table";
import { ProtocolTag } from "../part/words";
import { change, text } from "../state/place";
import { Detail } from "./detail";
import { type Whole, lasted, parts, verdict, wholes } from "./halves";

export const named = (end: End): string => end.service ?? end.name ?? end.ip ?? "unknown";

const where = (end: End): string => (end.ip === null ? "–" : end.ip.includes(":") ? `[${end.ip}]:${end.port}` : `${end.ip}:${end.port}`);

/** What waits by design is not slow: it comes last, and the scale is not for it. */
const waits = ({ main }: Whole): number => (main.exchange.blocking === true ? 1 : 0);

/** More rows nobody reads; a filter finds the others. */
const MOST = 200;

export function Bar({ whole, longest }: { whole: Whole; longest: number }) {
    const all = parts(whole);
    return (
        <span
            class="went"
            role="img"
            aria-label={all.map(({ ns, words }) => `${duration(ns)} ${words}`).join(", ")}
            title={all.map(({ ns, words }) => `${duration(ns)} ${words}`).join("\n")}
        >
            {all.map(({ kind, ns }) => (
                <i key={kind} class={kind} style={{ width: `${(ns / longest) * 100}%` }} />
            ))}
        </span>
    );
}

export const Status = ({ whole }: { whole: Whole }) => {
    const { words, state } = verdict(whole);
    return <span class={`badge ${state}`}>{state === "healthy" ? words : `! ${words}`}</span>;
};

/** The order that the agent is asked for, of the whole range: the slowest first, or the newest. */
export const ordered = (): { sort: string } => ({ sort: text("order") === "newest" ? "newest" : "duration" });

export function RequestRows({ answer }: { answer: Requests }) {
    const newest = text("order") === "newest";
    const kept = wholes(answer.requests);
    const all = (newest ? kept : kept.sort((a, b) => waits(a) - waits(b) || lasted(b) - lasted(a))).slice(0, MOST);
    const longest = Math.max(1, ...all.filter((whole) => !waits(whole)).map(lasted));
    const chosen = text("req");
    const opened = all.find(({ key }) => key === chosen);
    const columns: Column<Whole>[] = [
        {
            title: "Time",
            cell: ({ key, main }) => (
                <button
                    type="button"
                    class="plain mono"
                    aria-expanded={key === chosen}
                    onClick={() => change({ req: key === chosen ? undefined : key })}
                >
                    {clockExact(main.exchange.time)}
                </button>
            ),
        },
        {
            title: "Client → Server",
            cell: ({ main: { exchange } }) => (
                <>
                    <div class="ends">
                        {named(exchange.client)} <span class="dim">→</span> {named(exchange.server)}
                    </div>
                    <div class="small dim ends">
                        {where(exchange.client)} → {where(exchange.server)}
                    </div>
                </>
            ),
        },
        { title: "Protocol", cell: ({ main }) => <ProtocolTag name={main.exchange.protocol} /> },
        {
            title: "Request",
            cell: ({ main }) => (
                <span class="mono operation" title={main.exchange.operation}>
                    {main.exchange.operation}
                </span>
            ),
        },
        { title: "Client", numeric: true, tone: "client", cell: ({ client }) => duration(client?.exchange.duration_ns) },
        { title: "Server", numeric: true, tone: "server", cell: ({ server }) => duration(server?.exchange.duration_ns) },
        { title: "Where the time went", cell: (whole) => <Bar whole={whole} longest={longest} /> },
        { title: "Status", cell: (whole) => <Status whole={whole} /> },
        {
            title: "Kept as",
            cell: ({ main, client, server }) => (
                <span class="dim small">
                    {[
                        ...new Set([...(client?.why ?? []), ...(server?.why ?? []), ...main.why]),
                        ...(main.exchange.blocking ? ["waits by design"] : []),
                    ].join(", ")}
                </span>
            ),
        },
    ];
    return (
        <>
            <div class="legend">
                <span>
                    <i class="swatch network" />
                    network
                </span>
                <span>
                    <i class="swatch queue" />
                    queue
                </span>
                <span>
                    <i class="swatch service" />
                    service
                </span>
                <span>
                    <i class="swatch transfer" />
                    transfer
                </span>
                <span>
                    <i class="swatch client" />
                    client only
                </span>
                <span class="dim">full width = {duration(longest)}</span>
                <span class="dim">
                    {answer.requests.length < answer.matching
                        ? `of the ${newest ? "newest" : "slowest"} ${answer.requests.length} of ${answer.matching} records`
                        : `${answer.matching} records`}
                    {kept.length > all.length ? `, ${all.length} of ${kept.length} requests shown` : ""}
                </span>
                <button type="button" class="inline" onClick={() => change({ order: newest ? undefined : "newest" })}>
                    {newest ? "slowest first" : "newest first"}
                </button>
            </div>
            <div class="split">
                <Table
                    caption="Requests"
                    columns={columns}
                    rows={all}
                    id={({ key }) => key}
                    chosen={({ key }) => key === chosen}
                    onOpen={({ key }) => change({ req: key === chosen ? undefined : key })}
                />
                {opened && <Detail whole={opened} />}
            </div>
        </>
    );
}
