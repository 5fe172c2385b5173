// The line from one card to another, past the cards that stand between them.

import { CARD, STEP, type Spot } from "./layout";

type Point = readonly [x: number, y: number];
type Cubic = readonly [Point, Point, Point, Point];

/** So near a line comes to a card that is not one of its ends. Less than half of what is between two cards of a column. */
const CLEAR = 5;
/** Room for the head of the arrow. */
const HEAD = 8;

/** Cards by their column, which is where they begin. */
export type Columns = ReadonlyMap<number, readonly number[]>;

export function columns(spots: Iterable<Spot>): Columns {
    const at = new Map<number, number[]>();
    for (const { x, y } of spots) {
        const ys = at.get(x);
        if (ys === undefined) at.set(x, [y]);
        else ys.push(y);
    }
    return at;
}

/**
 * What leads on is a curve; where cards stand in its way, it goes through the gaps next to it. What leads back, or within a column, bows out below
 * or to the right.
 */
export function line(from: Spot, to: Spot, cards: Columns): string {
    const [y1, y2] = [from.y + CARD.height / 2, to.y + CARD.height / 2];
    const x1 = from.x + CARD.width;
    if (to.x > from.x) {
        const [start, end]: [Point, Point] = [
            [x1, y1],
            [to.x - HEAD, y2],
        ];
        const straight = bend(start, end);
        const between = [...cards.keys()].filter((x) => x > from.x && x < to.x).sort((a, b) => a - b);
        return path(between.length > 0 && touches(straight, between, cards) ? past(start, end, between, cards) : [straight]);
    }
    if (to.x === from.x) {
        const out = x1 + 48;
        return `M${x1} ${y1}C${out} ${y1} ${out} ${y2} ${x1 + HEAD} ${y2}`;
    }
    const [start, end] = [from.x + CARD.width / 2, to.x + CARD.width / 2];
    const [below1, below2] = [from.y + CARD.height, to.y + CARD.height];
    const drop = Math.min(24 + ((start - end) / STEP.x) * 12, 120);
    return `M${start} ${below1}C${start} ${below1 + drop} ${end} ${below2 + HEAD + drop} ${end} ${below2 + HEAD}`;
}

/** Level at both ends. */
function bend(start: Point, end: Point): Cubic {
    const by = Math.min(Math.max((end[0] - start[0]) / 2, 24), 120);
    return [start, [start[0] + by, start[1]], [end[0] - by, end[1]], end];
}

const path = (cubics: readonly Cubic[]): string =>
    cubics
        .map(([start, one, two, end], n) => `${n === 0 ? `M${start.join(" ")}` : `L${start.join(" ")}`}C${[one, two, end].flat().join(" ")}`)
        .join("");

/** Whether a height is too near to a card. */
const blocked = (y: number, ys: readonly number[]): boolean => ys.some((top) => y > top - CLEAR && y < top + CARD.height + CLEAR);

const SAMPLES = 32;

function touches([p, q, r, s]: Cubic, between: readonly number[], cards: Columns): boolean {
    for (let n = 1; n < SAMPLES; n++) {
        const t = n / SAMPLES;
        const [a, b, c, d] = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t ** 2, t ** 3];
        const x = a * p[0] + b * q[0] + c * r[0] + d * s[0];
        const column = between.find((left) => x > left - CLEAR && x < left + CARD.width + CLEAR);
        if (column !== undefined && blocked(a * p[1] + b * q[1] + c * r[1] + d * s[1], cards.get(column) as readonly number[])) return true;
    }
    return false;
}

/** Level through each column that is between, at the free height nearest to the straight way. */
function past(start: Point, end: Point, between: readonly number[], cards: Columns): Cubic[] {
    const cubics: Cubic[] = [];
    let at = start;
    for (const left of between) {
        const middle = left + CARD.width / 2;
        const wish = at[1] + ((end[1] - at[1]) * (middle - at[0])) / (end[0] - at[0]);
        const y = free(wish, cards.get(left) as readonly number[]);
        cubics.push(bend(at, [left - CLEAR, y]));
        at = [left + CARD.width + CLEAR, y];
    }
    return [...cubics, bend(at, end)];
}

function free(wish: number, ys: readonly number[]): number {
    if (!blocked(wish, ys)) return wish;
    const gap = (STEP.y - CARD.height) / 2;
    const gaps = ys.flatMap((top) => [top - gap, top + CARD.height + gap]).filter((y) => !blocked(y, ys));
    // There is one at least, above the first.
    return gaps.reduce((best, y) => (Math.abs(y - wish) < Math.abs(best - wish) ? y : best));
}
