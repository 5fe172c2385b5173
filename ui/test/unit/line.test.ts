import assert from "node:assert/strict";
import { test } from "node:test";
import { CARD, STEP, type Spot } from "../../src/map/layout";
import { columns, line } from "../../src/map/line";

const spot = (column: number, row: number): Spot => ({ x: column * STEP.x, y: row * STEP.y });

/** Places on a path of cubic curves and straight pieces, close to each other. */
function places(path: string): [number, number][] {
    const found: [number, number][] = [];
    let at: [number, number] = [0, 0];
    for (const [, command, rest] of path.matchAll(/([MLC])([^MLC]*)/g)) {
        const numbers = (rest as string).split(" ").map(Number);
        const [x, y] = numbers.slice(-2) as [number, number];
        const [p, q, r] = command === "C" ? [at, numbers.slice(0, 2), numbers.slice(2, 4)] : [at, at, [x, y]];
        for (let n = 0; command !== "M" && n <= 200; n++) {
            const t = n / 200;
            const [a, b, c, d] = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t ** 2, t ** 3];
            found.push(
                [0, 1].map((k) => a * (p[k] as number) + b * (q[k] as number) + c * (r[k] as number) + d * ([x, y][k] as number)) as [number, number],
            );
        }
        at = [x, y];
    }
    return found;
}

const inside = (card: Spot, [x, y]: [number, number]): boolean => x > card.x && x < card.x + CARD.width && y > card.y && y < card.y + CARD.height;

test("a line begins and ends at its cards", () => {
    const all = places(line(spot(0, 1), spot(1, 4), columns([spot(0, 1), spot(1, 4)])));
    assert.deepEqual(all[0], [CARD.width, STEP.y + CARD.height / 2]);
    assert.deepEqual(all.at(-1), [STEP.x - 8, 4 * STEP.y + CARD.height / 2]);
});

test("a line over columns goes past the cards that stand there, in whatever rows they and its ends are", () => {
    for (const rows of [[0], [0, 1, 2], [1, 2, 3, 4], [-2, -1, 0.5, 1.5, 3], [0, 1, 2, 3, 4, 5, 6, 7, 8]]) {
        for (const [top, bottom] of [
            [0, 0],
            [1, 2.2],
            [0, 4],
            [4, 0],
            [2, 7.5],
        ] as const) {
            for (const last of [2, 3, 4]) {
                const between = Array.from({ length: last - 1 }, (_, n) => rows.map((row) => spot(n + 1, row + n * 0.4))).flat();
                const [from, to] = [spot(0, top), spot(last, bottom)];
                const all = places(line(from, to, columns([from, to, ...between])));
                const hit = between.find((card) => all.some((place) => inside(card, place)));
                assert.equal(hit, undefined, `${rows} ${top} ${bottom} ${last}`);
            }
        }
    }
});

test("where nobody stands in the way, it is one curve", () => {
    const [from, to] = [spot(0, 0), spot(2, 3)];
    assert.equal(line(from, to, columns([from, to, spot(1, 8)])).match(/C/g)?.length, 1);
    assert.equal(line(from, to, columns([from, to, spot(1, 1.5)])).match(/C/g)?.length, 2);
});
