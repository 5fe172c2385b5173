// A curve as small as a word.

export function Spark({
    values,
    tone = "accent",
    width = 80,
    height = 20,
}: {
    values: readonly (number | null)[] | undefined;
    tone?: string;
    width?: number;
    height?: number;
}) {
    if (values === undefined || values.length < 2) return <span class="spark" />;
    const most = Math.max(...values.map((value) => value ?? 0), Number.MIN_VALUE);
    let path = "";
    values.forEach((value, n) => {
        const move = value === null || path === "" || values[n - 1] === null;
        if (value !== null)
            path += `${move ? "M" : "L"}${((n / (values.length - 1)) * width).toFixed(1)} ${(height - 1.5 - (value / most) * (height - 3)).toFixed(1)}`;
    });
    return (
        <svg class={`spark ${tone}`} width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
            <path d={path} />
        </svg>
    );
}
