// What is shown is asked for again every ten seconds, while it is live and somebody looks. What is being asked anew stays in view.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { type Parameters, Refusal, agentNow, ask, askHealth, question } from "../api/client";
import type { AgentHealth, Answer, Meta } from "../api/types";
import { range } from "./place";
import { asked } from "./range";

const EVERY_MS = 10_000;

/** Grows when everything is to be asked again. */
const round = signal(0);
/** What the newest answer was made from. */
export const newest = signal<Meta | null>(null);
/** Why the last question was not answered; `null` if it was. */
export const refused = signal<Refusal | null>(null);
/** How the agent is; `null` until it has said so. It is now, whatever range is looked at. */
export const health = signal<AgentHealth | null>(null);
/** The agent's clock, by the second, for ages. */
export const now = signal(agentNow());

let last = 0;

function again(): void {
    last = Date.now();
    if (range.peek().live) round.value++;
    askHealth().then(
        (told) => {
            health.value = told;
        },
        (why: unknown) => {
            refused.value = why instanceof Refusal ? why : new Refusal(0, String(why));
        },
    );
}

function look(): void {
    if (document.hidden) return;
    now.value = agentNow();
    if (Date.now() - last >= EVERY_MS) again();
}

look();
setInterval(look, 1000);
document.addEventListener("visibilitychange", look);

export interface Asked<T> {
    answer: Answer<T> | null;
    /** Why there is none, or none that is newer. */
    refusal: Refusal | null;
}

/** Asks a question about the range that is looked at. */
export function useAnswer<T>(path: string, parameters: Parameters = {}): Asked<T> {
    const [state, setState] = useState<Asked<T>>({ answer: null, refusal: null });
    // Who is there is asked of all that is kept.
    const when = path === "entities" ? {} : asked(range.value);
    const whole = question(path, { ...when, ...parameters });
    const turn = round.value;
    useEffect(() => {
        const stop = new AbortController();
        ask<T>(whole, stop.signal).then(
            (answer) => {
                newest.value = answer.meta;
                refused.value = null;
                now.value = agentNow();
                setState({ answer, refusal: null });
            },
            (why: unknown) => {
                if (stop.signal.aborted) return;
                const refusal = why instanceof Refusal ? why : new Refusal(0, String(why));
                refused.value = refusal;
                setState((known) => ({ answer: known.answer, refusal }));
            },
        );
        return () => stop.abort();
    }, [whole, turn]);
    return state;
}
