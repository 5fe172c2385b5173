// What follows from what an answer was made from.

import type { Meta, Missing } from "./types";

/** Whether a part is missing because the agent did not exist yet: nothing that it had was lost. */
export const isYouth = ({ range }: Missing, { started_ms }: Meta): boolean => started_ms !== null && range.to_ms <= started_ms;

/** Seconds of the range of which something is known: what rates are taken over, here as in the agent. */
export function knownSeconds({ range, missing }: Meta): number {
    const unknown = missing.reduce(
        (sum, part) => sum + Math.max(0, Math.min(part.range.to_ms, range.to_ms) - Math.max(part.range.from_ms, range.from_ms)),
        0,
    );
    return Math.max((range.to_ms - range.from_ms - unknown) / 1000, 1);
}

/** A curve of a table: one value for each step of the range. */
export const knownCurve = (curve: readonly number[] | undefined, meta: Meta): (number | null)[] | undefined =>
    curve &&
    knownValues(
        curve,
        curve.map((_, n) => meta.range.from_ms + n * meta.step_ms),
        meta,
    );

/** The values of steps; `null` where nothing of a step is known, which is not zero. */
export function knownValues(values: readonly (number | null)[], times_ms: readonly number[], { range, missing, step_ms }: Meta): (number | null)[] {
    if (missing.length === 0) return [...values];
    // Of the last step there may be less than a whole one.
    const unknown = times_ms.map((at) => missing.some((part) => part.range.from_ms <= at && Math.min(at + step_ms, range.to_ms) <= part.range.to_ms));
    return values.map((value, n) => (unknown[n] ? null : value));
}
