// Lines over time. Dragging chooses the range; the cursor is that of all charts.

import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { knownValues } from "../api/meta";
import type { Meta, Range } from "../api/types";
import { clock, clockShort, day, mark } from "../format";
import { colour, theme } from "../state/theme";
import { ChartData } from "./data";
import { choose, cursor, stepAt } from "./cursor";

export interface ChartLine {
    label: string;
    values: readonly (number | null)[];
    /** A colour of the theme: `client`, `server`, `accent`, `bad`. */
    tone: string;
    /** Filled down to zero. */
    area?: boolean;
    dashed?: boolean;
}

interface Properties {
    title: string;
    note?: string | undefined;
    times_ms: readonly number[];
    /** What the answer was made from: where nothing is known nothing is drawn. */
    meta: Meta;
    lines: ChartLine[];
    format: (value: number) => string;
    /** The space between the first line and the second is filled, and said: `time outside the server`. */
    gap?: string | undefined;
    height?: number;
    /** The least that the axis reaches up to, so that next to nothing does not look like everything. */
    least?: number;
}

export function TimeChart({ title, note, times_ms, meta, lines: whole, format, gap, height = 150, least = 0 }: Properties) {
    const { range, step_ms } = meta;
    const lines = useMemo(() => whole.map((line) => ({ ...line, values: knownValues(line.values, times_ms, meta) })), [whole, times_ms, meta]);
    const host = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    const now = useRef({ range, format });
    now.current = { range, format };
    const shape = `${lines.map(({ label, tone, area }) => `${label} ${tone} ${area}`).join()} ${gap} ${theme.value}`;
    const data = [times_ms as number[], ...lines.map(({ values }) => values as (number | null)[])] as uPlot.AlignedData;

    useEffect(() => {
        const element = host.current;
        if (element === null) return;
        const made = new uPlot(options(lines, { gap: gap !== undefined, height, width: element.clientWidth, least }, now), data, element);
        plot.current = made;
        const resize = new ResizeObserver(() => {
            if (element.clientWidth > 0 && element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height });
        });
        resize.observe(element);
        const follow = cursor.subscribe((at) => {
            if (at === null) made.setCursor({ left: -10, top: -10 }, false);
            else if (!own.has(made)) made.setCursor({ left: made.valToPos(at, "x"), top: 0 }, false);
        });
        return () => {
            follow();
            resize.disconnect();
            made.destroy();
            plot.current = null;
        };
    }, [shape, height]);

    useEffect(() => plot.current?.setData(data), [times_ms, lines]);

    const pointed = stepAt(times_ms, step_ms, cursor.value);
    // All numbers are of one step: the one that is pointed at, else the newest of which anything is known.
    const at = pointed >= 0 ? pointed : times_ms.findLastIndex((_, n) => lines.some(({ values }) => values[n] != null));
    const valueOf = (line: ChartLine): number | null => line.values[at] ?? null;
    const [outer, inner] = lines.map(valueOf);
    return (
        <figure class="chart">
            <figcaption>
                <h3>{title}</h3>
                {note !== undefined && <span class="dim">{note}</span>}
                <ChartData title={title} times_ms={times_ms} columns={lines.map(({ label, values }) => ({ label, values, format }))} />
            </figcaption>
            <div class="legend">
                {lines.map((line) => {
                    const value = valueOf(line);
                    return (
                        <span key={line.label}>
                            <i class={`swatch ${line.tone}`} />
                            {line.label} <b>{value === null ? "" : format(value)}</b>
                        </span>
                    );
                })}
                {gap !== undefined && (
                    <span>
                        <i class="swatch gap" />
                        {gap} <b>{outer != null && inner != null ? beyond(outer - inner, format) : ""}</b>
                    </span>
                )}
                {at >= 0 && (
                    <span class="dim at">
                        {pointed < 0 && "last step, "}
                        {clock(times_ms[at] as number)}
                    </span>
                )}
            </div>
            <div class="plot" ref={host} aria-hidden="true" onMouseLeave={() => (cursor.value = null)} />
        </figure>
    );
}

/** Quantiles of two sides are not of the same request: the outer one may be a little less than the inner one. */
const beyond = (difference: number, format: (value: number) => string): string => (difference > 0 ? format(difference) : "next to none");

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

/** Between two marks of the time axis. */
const STEPS_MS = [
    ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
    ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
    ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
    ...[1, 2, 7, 14, 30, 60].map((n) => n * DAY),
];

/** Charts that move the cursor right now, and so need not be told. */
const own = new WeakSet<uPlot>();

function options(
    lines: ChartLine[],
    { gap, height, width, least }: { gap: boolean; height: number; width: number; least: number },
    now: { current: { range: Range; format: (value: number) => string } },
): uPlot.Options {
    const text = colour("dim");
    const grid = { stroke: colour("line"), width: 1 };
    const font = '11px system-ui, -apple-system, "Segoe UI", "Inter", sans-serif';
    return {
        width: Math.max(width, 100),
        height,
        ms: 1,
        // At the right there is half a label of the time axis: it stands under the line that it names.
        padding: [8, 24, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: {
            x: { time: true, range: () => [now.current.range.from_ms, now.current.range.to_ms] },
            y: { range: (_, __, most) => [0, Math.max(most * 1.08, least) || 1] },
        },
        axes: [
            {
                stroke: text,
                font,
                grid: { show: false },
                ticks: { show: false },
                size: 22,
                gap: 4,
                space: 68,
                incrs: STEPS_MS,
                values: (_, times) =>
                    times.map((at) =>
                        (times.at(-1) ?? 0) - (times[0] ?? 0) > 86_400_000
                            ? day(at).slice(5)
                            : times.length > 1 && (times[1] as number) - (times[0] as number) < 60_000
                              ? clock(at)
                              : clockShort(at),
                    ),
            },
            {
                stroke: text,
                font,
                grid,
                ticks: { show: false },
                size: 56,
                gap: 6,
                space: 36,
                values: (_, values) => values.map((value) => mark(now.current.format, value)),
            },
        ],
        series: [
            {},
            ...lines.map(({ label, tone, area, dashed }) => ({
                label,
                stroke: colour(tone),
                width: 1.5,
                points: { show: false },
                spanGaps: false,
                ...(area ? { fill: `color-mix(in srgb, ${colour(tone)} 14%, transparent)` } : {}),
                ...(dashed ? { dash: [4, 3] } : {}),
            })),
        ],
        ...(gap ? { bands: [{ series: [1, 2] as [number, number], fill: `color-mix(in srgb, ${colour("client")} 22%, transparent)` }] } : {}),
        hooks: {
            setCursor: [
                (made) => {
                    own.add(made);
                    const left = made.cursor.left ?? -1;
                    cursor.value = left < 0 ? null : made.posToVal(left, "x");
                    own.delete(made);
                },
            ],
            setSelect: [
                (made) => {
                    const { left, width: wide } = made.select;
                    if (wide < 4) return;
                    choose(made.posToVal(left, "x"), made.posToVal(left + wide, "x"));
                    made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
                },
            ],
        },
    };
}
