// Durations on a logarithmic scale, for heatmaps.

export interface LogScale {
    low_ns: number;
    high_ns: number;
    /** From a duration to 0 (at the bottom) … 1. */
    at(ns: number): number;
    /** Back again. */
    from(share: number): number;
    /** Where lines and labels go: decades, and if there are few of them 2 and 5 times these. */
    marks: number[];
}

export function logScale(low_ns: number, high_ns: number): LogScale {
    const low = Math.log10(Math.max(low_ns, 1));
    const high = Math.max(Math.log10(Math.max(high_ns, 1)), low + 0.5);
    const marks: number[] = [];
    const steps = high - low < 1.5 ? [1, 2, 5] : [1];
    for (let decade = Math.floor(low); decade <= high; decade++) {
        marks.push(...steps.map((step) => step * 10 ** decade).filter((mark) => Math.log10(mark) >= low - 1e-9 && Math.log10(mark) <= high + 1e-9));
    }
    return {
        low_ns: 10 ** low,
        high_ns: 10 ** high,
        at: (ns) => (Math.log10(Math.max(ns, 1)) - low) / (high - low),
        from: (share) => 10 ** (low + share * (high - low)),
        marks,
    };
}
