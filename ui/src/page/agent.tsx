// The agent itself: what it sees, what it costs, and the ledger: reported and lost, by reason, add up to what happened.

import type { AgentHealth, Counter, Hook, Ledger } from "../api/types";
import { bytes, exact, percent, protocol, span } from "../format";
import { Refused, remedy } from "../part/states";
import { type Column, Table } from "../part/table";
import { health, refused } from "../state/live";
import { text } from "../state/place";

export function AgentPage() {
    const told = health.value;
    if (told === null)
        return (
            <div class="padded">
                <h1>Agent</h1>
                {refused.value ? (
                    <Refused why={refused.value} />
                ) : (
                    <div class="waiting" role="status">
                        Asking the agent …
                    </div>
                )}
            </div>
        );
    return (
        <div class="padded">
            <header class="title">
                <h1>Agent</h1>
                <span class={`badge ${told.status === "ok" ? "healthy" : "degraded"}`}>{told.status}</span>
                <p class="dim">
                    steth {told.version} · kernel {told.kernel} · running for {span(told.uptime_seconds)}
                </p>
            </header>
            {told.store_trouble && (
                <p class="findings">
                    <span class="degraded">
                        <b>The store is in trouble.</b> {told.store_trouble} What cannot be written is kept in memory, as long as there is room, and
                        is shown from there.
                    </span>
                </p>
            )}
            {told.insecure && (
                <p class="findings">
                    <span class="failing insecure">
                        <b>Insecure.</b> This agent answers on a network without a token or without TLS: whoever reaches it reads everything here. Set
                        a token and a certificate, or listen on loopback.
                    </span>
                </p>
            )}
            <Cost told={told} />
            <LedgerTable told={told} />
            <Hooks hooks={told.hooks} capabilities={told.capabilities} />
            <Counters counters={told.counters} />
        </div>
    );
}

function Cost({ told }: { told: AgentHealth }) {
    const { cpu, ledger } = told;
    const seen = ledger.reported + ledger.lost;
    return (
        <div class="stats">
            <div class="stat">
                <span>CPU, of one core</span>
                <b>{cpu.percent.toFixed(1)}%</b>
                <small>{`${cpu.user_seconds.toFixed(1)} s user, ${cpu.system_seconds.toFixed(1)} s kernel${cpu.bpf_seconds === null ? "" : `, ${cpu.bpf_seconds.toFixed(1)} s in hooks`}`}</small>
            </div>
            <div class="stat">
                <span>Memory, resident</span>
                <b>{bytes(told.memory_bytes)}</b>
            </div>
            <div class="stat">
                <span>Requests seen</span>
                <b>{exact(seen)}</b>
                <small>{exact(ledger.reported)} reported</small>
            </div>
            <div class="stat">
                <span>Lost, and declared so</span>
                <b class={ledger.lost > 0 ? "degraded" : ""}>{exact(ledger.lost)}</b>
                <small>{percent(seen > 0 ? ledger.lost / seen : 0)} of those seen</small>
            </div>
        </div>
    );
}

function LedgerTable({ told }: { told: AgentHealth }) {
    const rows: [name: string, ledger: Ledger][] = [
        ...Object.entries(told.exchanges).map(([name, ledger]): [string, Ledger] => [protocol(name), ledger]),
        ["all", told.ledger],
    ];
    const reasons = Object.keys(told.reasons);
    const columns: Column<[string, Ledger]>[] = [
        { title: "Protocol", cell: ([name]) => name },
        { title: "Seen", numeric: true, cell: ([, { reported, lost }]) => exact(reported + lost) },
        { title: "Reported", numeric: true, cell: ([, { reported }]) => exact(reported) },
        { title: "Lost", numeric: true, cell: ([, { lost }]) => <span class={lost > 0 ? "degraded" : undefined}>{exact(lost)}</span> },
        ...reasons.map((reason): Column<[string, Ledger]> => ({
            title: reason.replaceAll("_", " "),
            numeric: true,
            cell: ([, { lost_by }]) => ((lost_by[reason] ?? 0) === 0 ? <span class="dim">0</span> : exact(lost_by[reason] as number)),
        })),
    ];
    return (
        <section class="cardbox">
            <h2>
                The ledger <span class="dim small">reported + lost = what happened; nothing is left out silently</span>
            </h2>
            <Table caption="The ledger" columns={columns} rows={rows} id={([name]) => name} />
            <details class="reasons">
                <summary>What the reasons mean</summary>
                <dl class="facts">
                    {reasons.map((reason) => (
                        <div key={reason}>
                            <dt>{reason.replaceAll("_", " ")}</dt>
                            <dd>{told.reasons[reason]}</dd>
                        </div>
                    ))}
                </dl>
            </details>
        </section>
    );
}

const HOOKS: Column<Hook>[] = [
    { title: "Hook", cell: ({ name }) => <span class="mono">{name}</span> },
    {
        title: "Attached",
        cell: ({ attached }) => <span class={`badge ${attached ? "healthy" : "failing"}`}>{attached ? "attached" : "! not attached"}</span>,
    },
    { title: "Why", cell: ({ note }) => note },
];

const Hooks = ({ hooks, capabilities }: { hooks: Hook[]; capabilities: string[] }) => (
    <section class="cardbox">
        <h2>
            Hooks{" "}
            <span class="dim small">
                {hooks.filter(({ attached }) => attached).length} of {hooks.length} attached
            </span>
        </h2>
        <Table
            caption="Hooks"
            columns={HOOKS}
            rows={[...hooks].sort((a, b) => Number(a.attached) - Number(b.attached))}
            id={({ name, note }) => `${name} ${note}`}
        />
        {hooks.some(({ attached }) => !attached) && <Remedy hooks={hooks.filter(({ attached }) => !attached)} />}
        <p class="none dim">Capabilities kept: {capabilities.length === 0 ? "none" : capabilities.join(", ")}</p>
    </section>
);

function Remedy({ hooks }: { hooks: Hook[] }) {
    const { words, command } = remedy(hooks);
    return (
        <p class="none">
            {words} <code>{command}</code>
        </p>
    );
}

const COUNTERS: Column<Counter>[] = [
    {
        title: "Counter",
        cell: ({ name, labels }) => (
            <span class="mono">
                {name.replace(/^steth_/, "")}
                {labels.length > 0 && <span class="dim">{`{${labels.map(([key, value]) => `${key}=${value}`).join(", ")}}`}</span>}
            </span>
        ),
    },
    {
        title: "Value",
        numeric: true,
        cell: ({ name, value }) => (name.includes("bytes") ? bytes(value) : Number.isInteger(value) ? exact(value) : value.toFixed(3)),
    },
    { title: "Meaning", cell: ({ help }) => <span class="dim">{help}</span> },
];

function Counters({ counters }: { counters: Counter[] }) {
    const q = text("q").toLowerCase();
    const rows = counters.filter(({ name, labels }) => `${name} ${labels.flat().join(" ")}`.includes(q));
    return (
        <section class="cardbox">
            <h2>
                Events and limits <span class="dim small">everything that can be lost, cut or turned away is counted</span>
            </h2>
            <Table caption="Events and limits" columns={COUNTERS} rows={rows} id={({ name, labels }) => `${name} ${labels.join()}`} />
        </section>
    );
}
