import assert from "node:assert/strict";
import { test } from "node:test";
import type { Edge, Signals } from "../../src/api/types";
import { fold } from "../../src/map/fold";
import { graph, matching } from "../../src/map/graph";
import { edge, id, map, node, signals } from "./kit";

const spaces = (n: number) =>
    graph(
        map(
            Array.from({ length: n }, (_, at) => node(at, { namespace: `ns${at % 4}` })),
            Array.from({ length: n - 1 }, (_, at) => edge(at, at + 1)),
        ),
        60,
    );

test("a map that is small enough is not folded", () => {
    const whole = spaces(100);
    assert.equal(fold(whole, new Set(), 150).graph, whole);
});

test("a large one is folded by namespace, and every card is in one that is shown", () => {
    const { graph: shown, cards, pairs } = fold(spaces(200), new Set(), 150);
    assert.deepEqual(
        shown.cards.map(({ name, folded }) => [name, folded]),
        [
            ["ns0", 50],
            ["ns1", 50],
            ["ns2", 50],
            ["ns3", 50],
        ],
    );
    assert.equal(cards, 200);
    assert.equal(pairs, 199 - shown.pairs.length);
    assert.equal(
        shown.pairs.reduce((sum, pair) => sum + pair.rate, 0),
        199,
    );
});

test("a namespace that is opened stands card by card, the others do not", () => {
    const { graph: shown } = fold(spaces(200), new Set(["ns:ns1"]), 150);
    assert.equal(shown.cards.length, 53);
    assert.equal(shown.cards.filter(({ folded }) => folded > 0).length, 3);
});

test("without namespaces the busiest stay and the rest is folded by kind", () => {
    const nodes = Array.from({ length: 300 }, (_, n) =>
        node(n, { kind: n < 200 ? "service" : "external", answers: { preferred: "server", server: signals(n) } }),
    );
    const { graph: shown, cards } = fold(graph(map(nodes, []), 60), new Set(), 150);
    assert.ok(shown.cards.length <= 150);
    assert.ok(shown.cards.some(({ id: known }) => known === id(299)));
    assert.equal(
        shown.cards.reduce((sum, card) => sum + Math.max(card.folded, 1), 0),
        300,
    );
    assert.equal(
        cards,
        shown.cards.reduce((sum, card) => sum + card.folded, 0),
    );
});

test("whoever stands by himself does so when the map is asked again, though others are busier by then", () => {
    const nodes = (busy: (n: number) => number) =>
        Array.from({ length: 300 }, (_, n) => node(n, { answers: { preferred: "server", server: signals(busy(n)) } }));
    const first = fold(
        graph(
            map(
                nodes((n) => n),
                [],
            ),
            60,
        ),
        new Set(),
        150,
    );
    const ids = (folding: typeof first) => folding.graph.cards.map((card) => card.id).sort();
    assert.deepEqual(
        ids(
            fold(
                graph(
                    map(
                        nodes((n) => 300 - n),
                        [],
                    ),
                    60,
                ),
                new Set(),
                150,
                first,
            ),
        ),
        ids(first),
    );
    // One of them goes: somebody else has his place.
    const without = nodes((n) => 300 - n).filter(({ id: known }) => known !== id(299));
    const second = fold(graph(map(without, []), 60), new Set(), 150, first);
    assert.equal(second.graph.cards.length, first.graph.cards.length);
    assert.equal(ids(second).filter((known) => !ids(first).includes(known)).length, 1);
});

test("a map about as large as the limit stays folded, or not, when it is asked again", () => {
    const folded = fold(spaces(160), new Set(), 150);
    assert.ok(folded.cards > 0);
    assert.ok(fold(spaces(148), new Set(), 150, folded).cards > 0);
    assert.equal(fold(spaces(148), new Set(), 150).cards, 0);
    assert.equal(fold(spaces(100), new Set(), 150, folded).cards, 0);
});

test("a folded card is as bad as the worst in it", () => {
    const nodes = Array.from({ length: 160 }, (_, n) =>
        node(n, { namespace: "one", health: { state: n === 7 ? "failing" : "healthy", findings: [] } }),
    );
    assert.equal(fold(graph(map(nodes, []), 60), new Set(), 150).graph.cards[0]?.state, "failing");
});

test("the books of a port are counted once, whatever is spoken there", () => {
    const client = { bytes_to_server: 600, bytes_to_client: 5400 } as never;
    const books = { preferred: "client" as const, client };
    const whole = graph(map([node(1), node(2)], [edge(1, 2, { books }), edge(1, 2, { books, protocol: "redis" })]), 60);
    assert.equal(whole.pairs.length, 1);
    assert.equal(whole.pairs[0]?.bytes, 100);
    assert.equal(whole.pairs[0]?.rate, 2);
});

test("a filter keeps what matches and whom it talks to", () => {
    const whole = graph(map([node(1), node(2), node(3), node(4)], [edge(1, 2), edge(2, 3), edge(3, 4)]), 60);
    assert.deepEqual(
        matching(whole, "N1", "").cards.map(({ name }) => name),
        ["n1", "n2"],
    );
    assert.equal(matching(whole, "nobody", "").cards.length, 0);
    assert.equal(matching(whole, "", ""), whole);
});

test("of a pair it is told how long the client waits, and what the server says where nobody watches the client", () => {
    const slow = (ns: number): Signals => {
        const all = signals(1);
        return { ...all, duration: all.duration && { ...all.duration, p95_ns: ns } };
    };
    const p95 = (...edges: Edge[]) => graph(map([node(1), node(2)], edges), 60).pairs[0]?.p95_ns;
    assert.equal(p95(edge(1, 2, { signals: { preferred: "server", server: slow(3e8), client: slow(3e9) } })), 3e9);
    assert.equal(p95(edge(1, 2, { signals: { preferred: "server", server: slow(3e8) } })), 3e8);
    assert.equal(p95(edge(1, 2, { signals: { preferred: "server", server: slow(3e8) } }), edge(1, 2, { port: 81, protocol: "redis" })), 3e8);
});
