// Where each card stands: columns from `layers`, in each an order by barycentres, then places as near to the neighbours as the spacing allows.
// On refresh nobody moves: who is known keeps the place, who is new gets a free one in its column.

import type { Card, Graph } from "./graph";
import { layers } from "./layers";

export const CARD = { width: 144, height: 36 };
export const STEP = { x: 204, y: 52 };
/** A column that is taller than that stands in two, side by side. */
const TALLEST = 22;
const SWEEPS = 12;

export interface Spot {
    x: number;
    y: number;
}
export interface Layout {
    spots: Map<string, Spot>;
    /** Who is not shown now, and for how many refreshes: a place is kept for a while. */
    away: Map<string, number>;
    /** How often everything was placed anew. While it is the same nobody has moved. */
    turn: number;
    /** What holds all that are shown. */
    x: number;
    y: number;
    width: number;
    height: number;
}

/** For so many refreshes, five minutes of a live map, who has gone finds the old place again. */
const KEPT_AWAY = 30;

export function layout(graph: Graph, before?: Layout): Layout {
    const known = graph.cards.filter((card) => before?.spots.has(card.id));
    // If most are new it is another map.
    if (before === undefined || known.length * 2 < graph.cards.length) return { ...anew(graph), turn: (before?.turn ?? 0) + 1 };
    return grown(graph, before);
}

function neighbours({ cards, pairs }: Graph): Map<string, string[]> {
    const near = new Map<string, string[]>(cards.map((card) => [card.id, []]));
    for (const pair of pairs) {
        if (pair.client === pair.server || pair.dns || !near.has(pair.client) || !near.has(pair.server)) continue;
        near.get(pair.client)?.push(pair.server);
        near.get(pair.server)?.push(pair.client);
    }
    return near;
}

function anew(graph: Graph): Layout {
    const column = layers(graph);
    const near = neighbours(graph);
    const columns: string[][] = [];
    const first = [...graph.cards].sort((a, b) => b.rate - a.rate || (a.id < b.id ? -1 : 1));
    for (const card of first) (columns[column.get(card.id) ?? 0] ??= []).push(card.id);
    const filled = columns.filter((ids) => ids.length > 0);
    order(filled, near);
    return place(split(filled), near, graph.cards);
}

/** Mean of places of those for whom there is one. */
function mean(ids: readonly string[] | undefined, at: ReadonlyMap<string, number>): number | undefined {
    let sum = 0;
    let n = 0;
    for (const id of ids ?? []) {
        const place = at.get(id);
        if (place !== undefined) {
            sum += place;
            n++;
        }
    }
    return n > 0 ? sum / n : undefined;
}

function order(columns: string[][], near: ReadonlyMap<string, string[]>): void {
    const at = new Map<string, number>();
    const note = (ids: string[]): void => ids.forEach((id, n) => at.set(id, n - ids.length / 2));
    columns.forEach(note);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
        for (const ids of sweep % 2 === 0 ? columns : [...columns].reverse()) {
            const wish = new Map(ids.map((id, n) => [id, mean(near.get(id), at) ?? n - ids.length / 2]));
            ids.sort((a, b) => (wish.get(a) as number) - (wish.get(b) as number) || (a < b ? -1 : 1));
            note(ids);
        }
    }
}

const split = (columns: string[][]): string[][] =>
    columns.flatMap((ids) => {
        const parts = Math.ceil(ids.length / TALLEST);
        // Every other one, so that neighbours in the order stay near.
        return Array.from({ length: parts }, (_, part) => ids.filter((_, n) => n % parts === part));
    });

function place(columns: string[][], near: ReadonlyMap<string, string[]>, cards: readonly Card[]): Layout {
    const y = new Map<string, number>();
    for (const ids of columns) ids.forEach((id, n) => y.set(id, (n - (ids.length - 1) / 2) * STEP.y));
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
        for (const ids of sweep % 2 === 0 ? columns : [...columns].reverse()) {
            apart(ids.map((id) => mean(near.get(id), y) ?? (y.get(id) as number))).forEach((place, n) => y.set(ids[n] as string, place));
        }
    }
    const top = Math.min(0, ...y.values());
    const spots = new Map<string, Spot>();
    columns.forEach((ids, n) => ids.forEach((id) => spots.set(id, { x: n * STEP.x, y: (y.get(id) as number) - top })));
    // Whoever talks to nobody that is shown still has a place.
    for (const card of cards) if (!spots.has(card.id)) spots.set(card.id, { x: 0, y: 0 });
    return sized(spots);
}

/** The places nearest to those wished for that keep their order and a step between any two (pool adjacent violators). */
export function apart(wished: number[]): number[] {
    const blocks: { sum: number; n: number }[] = [];
    wished.forEach((wish, n) => {
        // Less the step, the order is all that has to hold.
        blocks.push({ sum: wish - n * STEP.y, n: 1 });
        for (;;) {
            const last = blocks[blocks.length - 1];
            const before = blocks[blocks.length - 2];
            if (!last || !before || before.sum / before.n <= last.sum / last.n) break;
            before.sum += last.sum;
            before.n += last.n;
            blocks.pop();
        }
    });
    return blocks.flatMap(({ sum, n }) => Array<number>(n).fill(sum / n)).map((place, n) => place + n * STEP.y);
}

function grown(graph: Graph, before: Layout): Layout {
    const shown = new Set(graph.cards.map((card) => card.id));
    const away = new Map<string, number>();
    const spots = new Map<string, Spot>();
    for (const [id, spot] of before.spots) {
        const times = shown.has(id) ? 0 : (before.away.get(id) ?? 0) + 1;
        if (times > KEPT_AWAY) continue;
        spots.set(id, spot);
        if (times > 0) away.set(id, times);
    }
    if (graph.cards.some((card) => !spots.has(card.id))) {
        const column = layers(graph);
        const columns = Math.max(0, ...[...spots.values()].map(({ x }) => x / STEP.x));
        for (const card of graph.cards) {
            if (spots.has(card.id)) continue;
            const x = Math.min(column.get(card.id) ?? 0, columns) * STEP.x;
            spots.set(card.id, { x, y: free([...spots.values()].filter((spot) => spot.x === x).map(({ y }) => y)) });
        }
    }
    return sized(spots, away, before.turn);
}

/** The first place of a column that nobody has, between those who stand there or below them. */
function free(taken: number[]): number {
    taken.sort((a, b) => a - b);
    const first = taken[0];
    if (first === undefined) return 0;
    const gap = taken.findIndex((y, n) => n > 0 && y - (taken[n - 1] as number) >= 2 * STEP.y);
    return (gap < 0 ? (taken.at(-1) as number) : (taken[gap - 1] as number)) + STEP.y;
}

function sized(spots: Map<string, Spot>, away = new Map<string, number>(), turn = 0): Layout {
    const all = [...spots].filter(([id]) => !away.has(id)).map(([, spot]) => spot);
    const [xs, ys] = [all.map(({ x }) => x), all.map(({ y }) => y)];
    const [x, y] = all.length === 0 ? [0, 0] : [Math.min(...xs), Math.min(...ys)];
    return { spots, away, turn, x, y, width: Math.max(x, ...xs) - x + CARD.width, height: Math.max(y, ...ys) - y + CARD.height };
}
