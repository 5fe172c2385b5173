// What follows from what an answer was made from.

import type { Meta } from "./types";

/** Seconds of the range of which something is known: what rates are taken over, here as in the agent. */
export function knownSeconds({ range, missing }: Meta): number {
    const unknown = missing.reduce(
        (sum, part) => sum + Math.max(0, Math.min(part.range.to_ms, range.to_ms) - Math.max(part.range.from_ms, range.from_ms)),
        0,
    );
    return Math.max((range.to_ms - range.from_ms - unknown) / 1000, 1);
}

/** The values of steps; `null` where nothing of a step is known, which is not zero. */
export function knownValues(values: readonly (number | null)[], times_ms: readonly number[], { missing, step_ms }: Meta): (number | null)[] {
    if (missing.length === 0) return [...values];
    const unknown = times_ms.map((at) => missing.some(({ range }) => range.from_ms <= at && at + step_ms <= range.to_ms));
    return values.map((value, n) => (unknown[n] ? null : value));
}
