// Durations on a logarithmic scale, for heatmaps.

export interface LogScale {
    low_ns: number;
    high_ns: number;
    /** From a duration to 0 (at the bottom) … 1. */
    at(ns: number): number;
    /** Back again. */
    from(share: number): number;
    /** Decades, where lines and labels go. */
    marks: number[];
}

export function logScale(low_ns: number, high_ns: number): LogScale {
    const low = Math.log10(Math.max(low_ns, 1));
    const high = Math.max(Math.log10(Math.max(high_ns, 1)), low + 0.5);
    const marks: number[] = [];
    for (let decade = Math.ceil(low - 1e-9); decade <= high + 1e-9; decade++) marks.push(10 ** decade);
    return {
        low_ns: 10 ** low,
        high_ns: 10 ** high,
        at: (ns) => (Math.log10(Math.max(ns, 1)) - low) / (high - low),
        from: (share) => 10 ** (low + share * (high - low)),
        marks,
    };
}
