// The line of a small curve.

/**
 * From the first value that is known to the end: what an agent has seen since it started fills the width, however young it is. Between, what is
 * not known is a gap. `""` if fewer than two values are known.
 */
export function curvePath(values: readonly (number | null)[], width: number, height: number): string {
    const first = values.findIndex((value) => value !== null);
    const seen = values.slice(Math.max(first, 0));
    if (seen.filter((value) => value !== null).length < 2) return "";
    const most = Math.max(...seen.map((value) => value ?? 0), Number.MIN_VALUE);
    let path = "";
    seen.forEach((value, n) => {
        if (value === null) return;
        const at = `${((n / (seen.length - 1)) * width).toFixed(1)} ${(height - 1.5 - (value / most) * (height - 3)).toFixed(1)}`;
        const [before, next] = [seen[n - 1] ?? null, seen[n + 1] ?? null];
        // One that stands alone is a point.
        path += before !== null ? `L${at}` : next !== null ? `M${at}` : `M${at}h0`;
    });
    return path;
}
