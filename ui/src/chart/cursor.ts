// One cursor across all charts of a page.

import { signal } from "@preact/signals";
import { fixed } from "../state/range";
import { change } from "../state/place";

/** The time under the pointer, milliseconds since 1970; `null` if it is over no chart. */
export const cursor = signal<number | null>(null);

/** Looks at the time that was dragged over. */
export const choose = (from_ms: number, to_ms: number): void => change(fixed({ from_ms, to_ms }));

/** The step that a time is in; -1 if none is. */
export function stepAt(times_ms: readonly number[], step_ms: number, at_ms: number | null): number {
    if (at_ms === null) return -1;
    const first = times_ms[0];
    if (first === undefined) return -1;
    // Steps may be missing: the last that began before it.
    let low = 0;
    let high = times_ms.length - 1;
    if (at_ms < first) return -1;
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((times_ms[middle] as number) <= at_ms) low = middle;
        else high = middle - 1;
    }
    return at_ms < (times_ms[low] as number) + step_ms ? low : -1;
}
