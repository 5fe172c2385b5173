// What stands where there is nothing to show, or not all of it: it says why, and what to do.

import type { ComponentChildren } from "preact";
import type { Refusal } from "../api/client";
import { isYouth } from "../api/meta";
import type { Hook, Meta } from "../api/types";
import { clock, clockShort, day, exact, span } from "../format";
import { type Asked, health } from "../state/live";
import { change, range, text } from "../state/place";

const Empty = ({ title, children }: { title: string; children: ComponentChildren }) => (
    <div class="empty" role="status">
        <h2>{title}</h2>
        {children}
    </div>
);

/** Why a question was not answered. */
export function Refused({ why }: { why: Refusal }) {
    if (why.status === 0) {
        return (
            <Empty title="The agent does not answer">
                <p>
                    Nobody answers at <code>{location.host}</code>. Is it running?
                </p>
                <pre>sudo steth run</pre>
                <p class="dim">This page asks again every ten seconds.</p>
            </Empty>
        );
    }
    if (why.status === 401) {
        return (
            <Empty title="The session is over">
                <p>This agent asks for its token again.</p>
                <button type="button" onClick={() => location.reload()}>
                    Give the token
                </button>
            </Empty>
        );
    }
    const store = /^the store/i.test(why.message);
    if (!store && (why.status === 503 || why.status === 429)) {
        return (
            <Empty title="The agent is busy">
                <p>{why.message}</p>
                <p class="dim">It answers few questions at once, so that it never takes the host's time. This page asks again.</p>
            </Empty>
        );
    }
    return (
        <Empty title={store || why.status >= 500 ? "The store does not answer" : why.status === 404 ? "Not known" : "The question was refused"}>
            <p>{why.message}</p>
            {store && (
                <>
                    <p>The agent goes on observing, and tries its store again with each question. Is there room where it writes?</p>
                    <pre>df -h /var/lib/steth</pre>
                    <p class="dim">
                        That is where <code>make run</code> puts it; <code>--data</code> says another place.
                    </p>
                </>
            )}
            {why.status === 404 && <p class="dim">It was not seen in what is kept. A longer range may have it.</p>}
        </Empty>
    );
}

/** What gives the agent what it lacks: the exact command, where its own words tell which. */
export function remedy(blind: readonly Hook[]): { words: string; command: string } {
    return blind.some(({ note }) => /permission|not permitted|CAP_|EPERM|capabilit/i.test(note))
        ? {
              words: "It lacks a capability. This gives it what it needs; then start it again, or start it as root:",
              command: 'sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep "$(command -v steth)"',
          }
        : { words: "This says what is missing and the command that gives it:", command: "sudo steth doctor" };
}

/** Nothing was found. `what` is plural: `services`. */
export function Nothing({
    what,
    filtered = text("q") !== "" || text("ns") !== "",
    children,
}: {
    what: string;
    filtered?: boolean;
    children?: ComponentChildren;
}) {
    const filter = text("q") || text("ns");
    if (filtered) {
        return (
            <Empty title={`No ${what} match`}>
                <p>Nothing in this range matches {filter === "" ? "the filter" : <code>{filter}</code>}.</p>
                <button
                    type="button"
                    onClick={() =>
                        change({
                            q: undefined,
                            ns: undefined,
                            service: undefined,
                            operation: undefined,
                            why: undefined,
                            failed: undefined,
                            side: undefined,
                            min_ms: undefined,
                            max_ms: undefined,
                        })
                    }
                >
                    Clear the filter
                </button>
            </Empty>
        );
    }
    const blind = health.value?.hooks.filter((hook) => !hook.attached) ?? [];
    if (blind.length > 0) {
        const { words, command } = remedy(blind);
        return (
            <Empty title={`No ${what}, and the agent does not see everything`}>
                <ul>
                    {blind.slice(0, 6).map((hook) => (
                        <li key={hook.name}>
                            <code>{hook.name}</code>: {hook.note}
                        </li>
                    ))}
                </ul>
                <p>{words}</p>
                <pre>{command}</pre>
            </Empty>
        );
    }
    return (
        <Empty title={`No ${what} in this range`}>
            {children ?? (
                <p>
                    {range.value.live
                        ? "Nothing has talked yet. Any request on this host shows up within ten seconds:"
                        : "Nothing was seen between these two times. The live range shows what happens now."}
                </p>
            )}
            {range.value.live ? (
                children === undefined && <pre>curl http://localhost/</pre>
            ) : (
                <button type="button" onClick={() => change({ from: undefined, to: undefined })}>
                    Go live
                </button>
            )}
        </Empty>
    );
}

/** An answer, or why there is none. What was answered stays in view while it is asked again. */
export function Answered<T>({ asked, children }: { asked: Asked<T>; children: (data: T, meta: Meta) => ComponentChildren }) {
    if (asked.answer !== null) return <>{children(asked.answer.data, asked.answer.meta)}</>;
    return asked.refusal !== null ? (
        <Refused why={asked.refusal} />
    ) : (
        <div class="waiting" role="status">
            Asking the agent …
        </div>
    );
}

/** Says what the answer on this page leaves out, if it leaves out anything. */
export function Banner({ meta, refusal }: { meta: Meta | null; refusal: Refusal | null }) {
    const lines: string[] = [];
    if (refusal !== null && meta !== null) lines.push(`${refusal.message}; this is from ${clock(meta.newest_ms ?? meta.range.to_ms)}.`);
    const missing = meta?.missing.filter((part) => !isYouth(part, meta)) ?? [];
    if (meta !== null && !meta.complete && (missing.length > 0 || meta.missing.length === 0)) {
        const [first] = missing;
        if (first) {
            const at = first.range.to_ms - first.range.from_ms > 86_400_000 ? day : clockShort;
            const more = missing.length > 1 ? `, and ${missing.length - 1} more` : "";
            lines.push(
                `Nothing is known of ${at(first.range.from_ms)}–${at(first.range.to_ms)} (${span((first.range.to_ms - first.range.from_ms) / 1000)}): ${first.why}${more}.`,
            );
        } else {
            lines.push("Part of this range was not kept.");
        }
    }
    if (meta !== null) {
        const { operations, rows, edges, misdated } = meta.folded;
        const folded = [
            [operations, "requests stand under operation “other”"],
            [rows, "requests stand under “other”"],
            [edges, "looks at connections stand under “other”"],
        ] as const;
        const said = folded.filter(([n]) => n > 0).map(([n, what]) => `${exact(n)} ${what}`);
        if (said.length > 0) lines.push(`${said.join(", ")}: there were more names than limits allow. All are counted.`);
        if (misdated > 0)
            lines.push(
                `${exact(misdated)} ${misdated === 1 ? "request" : "requests"} came too late for the window and ${misdated === 1 ? "stands" : "stand"} in the next one.`,
            );
    }
    if (lines.length === 0) return null;
    return (
        <div class="banner" role="status">
            {lines.map((line) => (
                <p key={line}>{line}</p>
            ))}
        </div>
    );
}
