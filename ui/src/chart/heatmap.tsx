// How durations are distributed over time: one hue, a logarithmic scale, the lines of p50 and p99. A box dragged over it opens the requests in it.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Heatmap as Answer, Range } from "../api/types";
import { clock, clockShort, count, duration, mark } from "../format";
import { go } from "../state/place";
import { fixed } from "../state/range";
import type { Changes } from "../state/url";
import { colour, theme } from "../state/theme";
import { ChartData } from "./data";
import { choose, cursor, stepAt } from "./cursor";
import { type LogScale, logScale } from "./scale";

const LEFT = 56;
const BOTTOM = 22;
const RIGHT = 24;
const TOP = 6;

interface Properties {
    title: string;
    note?: string | undefined;
    answer: Answer;
    step_ms: number;
    range: Range;
    /** What filters the requests that a box opens. */
    requests: Changes;
    height?: number;
}

interface Box {
    x1: number;
    y1: number;
    x2: number;
    y2: number;
}

export function HeatmapChart({ title, note, answer, step_ms, range, requests, height = 170 }: Properties) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [width, setWidth] = useState(0);
    const [box, setBox] = useState<Box | null>(null);
    const [pointed, setPointed] = useState<{ at_ms: number; ns: number } | null>(null);
    const scale = scaleOf(answer);
    const inner = { width: Math.max(width - LEFT - RIGHT, 1), height: height - BOTTOM - TOP };
    const length = Math.max(range.to_ms - range.from_ms, 1);
    const timeAt = (x: number): number => range.from_ms + (Math.min(Math.max(x - LEFT, 0), inner.width) / inner.width) * length;
    const durationAt = (y: number): number => scale.from(1 - Math.min(Math.max(y - TOP, 0), inner.height) / inner.height);

    useEffect(() => {
        const element = canvas.current?.parentElement;
        if (!element) return;
        const resize = new ResizeObserver(() => setWidth(element.clientWidth));
        resize.observe(element);
        setWidth(element.clientWidth);
        return () => resize.disconnect();
    }, []);

    useEffect(() => {
        if (canvas.current && width > 0) paint(canvas.current, { answer, step_ms, range, scale, width, height });
    }, [answer, width, height, theme.value, range.from_ms, range.to_ms]);

    const where = (event: PointerEvent): { x: number; y: number } => {
        const bounds = (event.currentTarget as HTMLElement).getBoundingClientRect();
        return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
    };
    const down = (event: PointerEvent): void => {
        if (event.button !== 0) return;
        const { x, y } = where(event);
        (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
        setBox({ x1: x, y1: y, x2: x, y2: y });
    };
    const move = (event: PointerEvent): void => {
        const { x, y } = where(event);
        if (box !== null) setBox({ ...box, x2: x, y2: y });
        cursor.value = timeAt(x);
        setPointed({ at_ms: timeAt(x), ns: durationAt(y) });
    };
    const up = (): void => {
        if (box === null) return;
        setBox(null);
        const wide = Math.abs(box.x2 - box.x1);
        const tall = Math.abs(box.y2 - box.y1);
        if (wide < 4) return;
        const [from_ms, to_ms] = [timeAt(Math.min(box.x1, box.x2)), timeAt(Math.max(box.x1, box.x2))];
        // A stroke along the time sets the range, as on every chart; a box is of durations too.
        if (tall < 10) return choose(from_ms, to_ms);
        const [min, max] = [durationAt(Math.max(box.y1, box.y2)), durationAt(Math.min(box.y1, box.y2))];
        go("requests", "", {
            ...requests,
            ...fixed({ from_ms, to_ms }),
            min_ms: milliseconds(min, Math.floor),
            max_ms: milliseconds(max, Math.ceil),
        });
    };

    const at = stepAt(answer.times_ms, step_ms, cursor.value);
    const cell = pointed === null ? undefined : answer.columns[at]?.find(([row]) => (answer.bounds_ns[row] as number) >= pointed.ns);
    const line = cursor.value === null ? null : LEFT + ((cursor.value - range.from_ms) / length) * inner.width;
    return (
        <figure class="chart heat">
            <figcaption>
                <h3>{title}</h3>
                <span class="dim">{note ?? "drag a box to see its requests"}</span>
                <ChartData
                    title={title}
                    times_ms={answer.times_ms}
                    columns={[
                        { label: "requests", values: answer.columns.map((cells) => cells.reduce((sum, [, n]) => sum + n, 0)), format: count },
                        { label: "p50", values: answer.p50_ns, format: duration },
                        { label: "p99", values: answer.p99_ns, format: duration },
                    ]}
                />
            </figcaption>
            <div class="legend">
                <span>
                    <i class="swatch p50" />
                    p50 <b>{at >= 0 ? duration(answer.p50_ns[at]) : ""}</b>
                </span>
                <span>
                    <i class="swatch p99" />
                    p99 <b>{at >= 0 ? duration(answer.p99_ns[at]) : ""}</b>
                </span>
                {at >= 0 && pointed && (
                    <span class="dim at">
                        {clock(answer.times_ms[at] as number)} · {cell ? count(cell[1]) : 0} of about {duration(pointed.ns)}
                    </span>
                )}
            </div>
            <div
                class="plot"
                onPointerDown={down}
                onPointerMove={move}
                onPointerUp={up}
                onPointerCancel={() => setBox(null)}
                onPointerLeave={() => {
                    cursor.value = null;
                    setPointed(null);
                }}
            >
                <canvas ref={canvas} aria-hidden="true" />
                {line !== null && line >= LEFT && <i class="hair" style={{ left: `${line}px` }} />}
                {box !== null && (
                    <i
                        class="box"
                        style={{
                            left: `${Math.min(box.x1, box.x2)}px`,
                            top: `${Math.min(box.y1, box.y2)}px`,
                            width: `${Math.abs(box.x2 - box.x1)}px`,
                            height: `${Math.abs(box.y2 - box.y1)}px`,
                        }}
                    />
                )}
            </div>
        </figure>
    );
}

/** Three significant digits, rounded so that nothing in the box falls out of it. */
function milliseconds(ns: number, round: (value: number) => number): number {
    const ms = ns / 1e6;
    const unit = 10 ** (Math.floor(Math.log10(Math.max(ms, 1e-6))) - 2);
    return Number((round(ms / unit) * unit).toPrecision(3));
}

/** From the lowest row that has anything to the highest, with a little room. */
function scaleOf({ columns, bounds_ns, floor_ns }: Answer): LogScale {
    const rows = columns.flatMap((cells) => cells.map(([row]) => row));
    if (rows.length === 0) return logScale(1e6, 1e9);
    let [low, high] = [Infinity, 0];
    for (const row of rows) {
        low = Math.min(low, row);
        high = Math.max(high, row);
    }
    return logScale((low > 0 ? (bounds_ns[low - 1] as number) : floor_ns) / 1.5, (bounds_ns[high] as number) * 1.5);
}

interface Painting {
    answer: Answer;
    step_ms: number;
    range: Range;
    scale: LogScale;
    width: number;
    height: number;
}

function paint(canvas: HTMLCanvasElement, { answer, step_ms, range, scale, width, height }: Painting): void {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const to = canvas.getContext("2d");
    if (to === null) return;
    to.scale(ratio, ratio);
    const inner = { width: width - LEFT - RIGHT, height: height - BOTTOM - TOP };
    const x = (ms: number): number => LEFT + ((ms - range.from_ms) / (range.to_ms - range.from_ms)) * inner.width;
    const y = (ns: number): number => TOP + (1 - scale.at(ns)) * inner.height;

    to.font = '11px system-ui, -apple-system, "Segoe UI", "Inter", sans-serif';
    to.fillStyle = colour("dim");
    to.strokeStyle = colour("line");
    to.lineWidth = 1;
    to.textAlign = "right";
    to.textBaseline = "middle";
    for (const decade of scale.marks) {
        to.beginPath();
        to.moveTo(LEFT, Math.round(y(decade)) + 0.5);
        to.lineTo(width - RIGHT, Math.round(y(decade)) + 0.5);
        to.stroke();
        to.fillText(mark(duration, decade), LEFT - 6, y(decade));
    }
    to.textAlign = "center";
    to.textBaseline = "alphabetic";
    const ticks = Math.max(2, Math.floor(inner.width / 90));
    for (let n = 0; n < ticks; n++) {
        const ms = range.from_ms + ((n + 0.5) / ticks) * (range.to_ms - range.from_ms);
        to.fillText((range.to_ms - range.from_ms < 600_000 ? clock : clockShort)(ms), x(ms), height - 6);
    }

    // The most frequent of all is the strongest; by the logarithm, since the rare is what matters.
    const most = Math.log1p(Math.max(1, ...answer.columns.flatMap((cells) => cells.map(([, n]) => n))));
    const shades = [1, 2, 3, 4, 5, 6].map((n) => colour(`heat-${n}`));
    answer.columns.forEach((cells, n) => {
        const left = x(answer.times_ms[n] as number);
        const right = Math.min(x((answer.times_ms[n] as number) + step_ms), width - RIGHT);
        for (const [row, times] of cells) {
            const bottom = y(row > 0 ? (answer.bounds_ns[row - 1] as number) : answer.floor_ns);
            const top = y(answer.bounds_ns[row] as number);
            to.fillStyle = shades[Math.min(shades.length - 1, Math.floor((Math.log1p(times) / most) * shades.length))] as string;
            to.fillRect(Math.max(left, LEFT), top, Math.max(right - Math.max(left, LEFT), 1), Math.max(bottom - top, 1));
        }
    });
    for (const [values, tone] of [
        [answer.p50_ns, "p50"],
        [answer.p99_ns, "p99"],
    ] as const) {
        to.strokeStyle = colour(tone);
        to.lineWidth = 1.5;
        to.beginPath();
        let drawn = false;
        values.forEach((ns, n) => {
            const middle = x((answer.times_ms[n] as number) + step_ms / 2);
            if (ns === null) drawn = false;
            else if (drawn) to.lineTo(middle, y(ns));
            else to.moveTo(middle, y(ns));
            drawn = ns !== null;
        });
        to.stroke();
    }
}
