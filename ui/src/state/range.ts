// Which time is looked at: the last so long, which is live, or from then to then, which is not.

import type { Range } from "../api/types";
import type { Changes, Place } from "./url";

export const USUAL = "30m";
export const CHOICES: readonly [last: string, words: string][] = [
    ["5m", "Last 5 min"],
    ["15m", "Last 15 min"],
    ["30m", "Last 30 min"],
    ["1h", "Last hour"],
    ["6h", "Last 6 h"],
    ["1d", "Last 24 h"],
    ["7d", "Last 7 days"],
];

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30m` in milliseconds; undefined if it is no such thing. */
export function length(last: string): number | undefined {
    const found = /^(\d{1,6})([smhd])$/.exec(last);
    const unit = UNITS[found?.[2] ?? ""];
    const ms = unit === undefined ? 0 : Number(found?.[1]) * unit;
    return ms > 0 ? ms : undefined;
}

export type Looking = { live: true; last: string; ms: number } | { live: false; range: Range; ms: number };

export function looking(place: Place): Looking {
    const { from = "", to = "", last = "" } = place.query;
    if (/^\d{1,15}$/.test(from) && /^\d{1,15}$/.test(to) && Number(from) < Number(to)) {
        const range = { from_ms: Number(from), to_ms: Number(to) };
        return { live: false, range, ms: range.to_ms - range.from_ms };
    }
    const ms = length(last);
    return ms === undefined ? { live: true, last: USUAL, ms: length(USUAL) as number } : { live: true, last, ms };
}

/** The parameters of a question. */
export const asked = (at: Looking): { last: string } | { from: number; to: number } =>
    at.live ? { last: at.last } : { from: at.range.from_ms, to: at.range.to_ms };

/** What makes a place look at that time. Whole seconds: a finger is not more exact. */
export const fixed = (range: Range): Changes => ({
    last: undefined,
    from: Math.floor(range.from_ms / 1000) * 1000,
    to: Math.max(Math.ceil(range.to_ms / 1000), Math.floor(range.from_ms / 1000) + 1) * 1000,
});

export const following = (last: string): Changes => ({ last: last === USUAL ? undefined : last, from: undefined, to: undefined });

/** By half its length, back (-1) or on (1); never beyond now. */
export function shifted(at: Looking, by: -1 | 1, now_ms: number): Range {
    const range = at.live ? { from_ms: now_ms - at.ms, to_ms: now_ms } : at.range;
    const to_ms = Math.min(range.to_ms + (by * at.ms) / 2, Math.max(now_ms, at.ms));
    return { from_ms: to_ms - at.ms, to_ms };
}

/** `30m` for 1,800,000: what a fixed range becomes when it is made to follow again. */
export function nearest(ms: number): string {
    const [best] = CHOICES.map(([last]) => last).sort((a, b) => Math.abs((length(a) ?? 0) - ms) - Math.abs((length(b) ?? 0) - ms));
    return best ?? USUAL;
}
