import assert from "node:assert/strict";
import { test } from "node:test";
import { graph } from "../../src/map/graph";
import { layers } from "../../src/map/layers";
import { CARD, apart, layout } from "../../src/map/layout";
import { edge, id, map, node } from "./kit";

const drawn = (nodes: Parameters<typeof map>[0], edges: Parameters<typeof map>[1]) => graph(map(nodes, edges), 60);

test("callers stand left of whom they call, by the longest way", () => {
    const column = layers(
        drawn(
            [1, 2, 3, 4].map((n) => node(n)),
            [edge(1, 2), edge(2, 3), edge(1, 3), edge(3, 4)],
        ),
    );
    assert.deepEqual(
        [1, 2, 3, 4].map((n) => column.get(id(n))),
        [0, 1, 2, 3],
    );
});

test("a circle is cut and everybody in it has a column", () => {
    const column = layers(
        drawn(
            [1, 2, 3].map((n) => node(n)),
            [edge(1, 2), edge(2, 3), edge(3, 2), edge(3, 1)],
        ),
    );
    assert.equal(new Set(column.values()).size, 3);
    assert.equal(layers(drawn([node(1)], [edge(1, 1)])).get(id(1)), 0);
});

test("stores stand right of all services, and those outside right of the stores", () => {
    const nodes = [
        node(1),
        node(2),
        node(3),
        node(4, { kind: "database", protocols: ["mysql"] }),
        node(5, { kind: "external" }),
        node(6, { kind: "dns" }),
    ];
    const column = layers(drawn(nodes, [edge(1, 4), edge(1, 2), edge(2, 3), edge(1, 5), edge(1, 6, { protocol: "dns" })]));
    assert.deepEqual(
        [1, 2, 3, 4, 5, 6].map((n) => column.get(id(n))),
        [0, 1, 2, 3, 4, 4],
    );
});

test("somebody outside who only calls stands left", () => {
    const column = layers(drawn([node(1, { kind: "external" }), node(2)], [edge(1, 2)]));
    assert.deepEqual([column.get(id(1)), column.get(id(2))], [0, 1]);
});

test("no two cards overlap", () => {
    const nodes = Array.from({ length: 120 }, (_, n) => node(n));
    const edges = Array.from({ length: 300 }, (_, n) => edge((n * 7) % 60, 40 + ((n * 13) % 80)));
    const spots = [...layout(drawn(nodes, edges)).spots.values()];
    assert.equal(spots.length, 120);
    for (const [n, one] of spots.entries()) {
        for (const other of spots.slice(n + 1)) {
            assert.ok(
                Math.abs(one.x - other.x) >= CARD.width || Math.abs(one.y - other.y) >= CARD.height,
                `${JSON.stringify(one)} ${JSON.stringify(other)}`,
            );
        }
    }
});

test("lines that need not cross do not", () => {
    const { spots } = layout(
        drawn(
            [1, 2, 3, 4, 5, 6].map((n) => node(n)),
            [edge(1, 6), edge(2, 5), edge(3, 4)],
        ),
    );
    const left = [1, 2, 3].map((n) => spots.get(id(n))?.y ?? 0);
    const right = [6, 5, 4].map((n) => spots.get(id(n))?.y ?? 0);
    assert.deepEqual(
        left.map((y) => left.filter((other) => other < y).length),
        right.map((y) => right.filter((other) => other < y).length),
    );
});

test("nobody moves when the map is asked again, and who is new gets a free place", () => {
    const nodes = [1, 2, 3].map((n) => node(n));
    const before = layout(drawn(nodes, [edge(1, 2), edge(1, 3)]));
    const same = layout(drawn([...nodes].reverse(), [edge(1, 3), edge(1, 2)]), before);
    assert.deepEqual(same.spots, before.spots);
    const grown = layout(drawn([...nodes, node(4)], [edge(1, 2), edge(1, 3), edge(1, 4)]), before);
    for (const [known, spot] of before.spots) assert.deepEqual(grown.spots.get(known), spot);
    const fresh = grown.spots.get(id(4));
    assert.ok(fresh && [...before.spots.values()].every((spot) => spot.x !== fresh.x || Math.abs(spot.y - fresh.y) >= CARD.height));
});

test("who has gone keeps the place for a while, and then no room is kept: the map does not grow for ever", () => {
    const edges = [edge(1, 2), edge(1, 3)];
    let known = layout(
        drawn(
            [1, 2, 3].map((n) => node(n)),
            edges,
        ),
    );
    const first = known;
    const without = drawn(
        [1, 2].map((n) => node(n)),
        [edge(1, 2)],
    );
    for (let n = 0; n < 10; n++) known = layout(without, known);
    assert.deepEqual(
        layout(
            drawn(
                [1, 2, 3].map((n) => node(n)),
                edges,
            ),
            known,
        ).spots.get(id(3)),
        first.spots.get(id(3)),
    );
    assert.ok(known.height < first.height, "what is fitted is what is shown");
    // A host on which each minute somebody new comes and goes.
    for (let n = 4; n < 300; n++)
        known = layout(
            drawn(
                [1, 2, n].map((n) => node(n)),
                [edge(1, 2), edge(1, n)],
            ),
            known,
        );
    assert.ok(known.spots.size < 40, `${known.spots.size} places`);
    assert.equal(known.turn, first.turn);
    const lowest = Math.max(...[...known.spots.values()].map(({ y }) => y));
    assert.ok(lowest < 40 * 52, `${lowest}`);
    assert.deepEqual(known.spots.get(id(1)), first.spots.get(id(1)));
});

test("if most are new it is another map, which is said", () => {
    const before = layout(drawn([node(1)], []));
    const other = layout(
        drawn(
            [1, 2, 3, 4].map((n) => node(n)),
            [edge(1, 2)],
        ),
        before,
    );
    assert.equal(other.turn, before.turn + 1);
});

test("the same map gives the same places", () => {
    const nodes = Array.from({ length: 40 }, (_, n) => node(n));
    const edges = Array.from({ length: 80 }, (_, n) => edge(n % 20, 20 + ((n * 3) % 20)));
    assert.deepEqual(layout(drawn(nodes, edges)), layout(drawn([...nodes].reverse(), [...edges].reverse())));
});

test("places keep their order, a step apart, as near to the wish as that allows", () => {
    assert.deepEqual(apart([0, 0]), [-26, 26]);
    assert.deepEqual(apart([0, 500]), [0, 500]);
    assert.deepEqual(apart([]), []);
});
