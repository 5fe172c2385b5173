// A curve as small as a word.

import { curvePath } from "./curve";

export function Spark({
    values,
    tone = "accent",
    width = 80,
    height = 20,
}: {
    /** `null` is not known, which is a gap and not zero. */
    values: readonly (number | null)[] | undefined;
    tone?: string;
    width?: number;
    height?: number;
}) {
    const path = curvePath(values ?? [], width, height);
    if (path === "") return <span class="spark" />;
    return (
        <svg class={`spark ${tone}`} width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
            <path d={path} />
        </svg>
    );
}
