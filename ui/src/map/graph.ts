// The map as it is drawn: one line for each pair of entities, whatever they speak, and numbers for each card.

import { bytesOf, failedConnects, shown, shownBooks } from "../api/books";
import type { Edge, Node, NodeKind, Signals, State, Topology } from "../api/types";

export type Layer = "l7" | "l4";

export interface Card {
    id: string;
    name: string;
    namespace: string;
    kind: NodeKind;
    protocols: string[];
    state: State;
    /** Requests that it answers, or makes if it answers none, per second. */
    rate: number;
    p95_ns: number | undefined;
    /** Both ways, per second. */
    bytes: number;
    /** Connects to it that failed. */
    unconnected: number;
    /** How many nodes are folded into this card; 0 if it is one itself. */
    folded: number;
}

/** All that one asks of another. */
export interface Pair {
    key: string;
    client: string;
    server: string;
    edges: Edge[];
    /** Per second: requests. */
    rate: number;
    /** Per second. */
    bytes: number;
    errors: number;
    count: number;
    /** What the client waits, where it is watched. */
    p95_ns: number | undefined;
    state: State;
    /** Nothing but DNS. */
    dns: boolean;
    /** No request could be read of it: only the kernel's books tell of it. */
    unread: boolean;
}

export interface Graph {
    cards: Card[];
    pairs: Pair[];
}

const WORSE: Record<State, number> = { idle: 0, healthy: 1, degraded: 2, failing: 3 };
export const worst = (one: State, two: State): State => (WORSE[two] > WORSE[one] ? two : one);

const later = (one: number | undefined, two: number | undefined): number | undefined =>
    one === undefined ? two : two === undefined ? one : Math.max(one, two);

export function graph(map: Topology, seconds: number): Graph {
    const pairs = new Map<string, Pair>();
    // The books of a port stand at each edge of it: they are counted once.
    const booked = new Set<string>();
    for (const edge of map.edges) {
        const key = `${edge.client} ${edge.server}`;
        let pair = pairs.get(key);
        if (pair === undefined) {
            pair = {
                key,
                client: edge.client,
                server: edge.server,
                edges: [],
                rate: 0,
                bytes: 0,
                errors: 0,
                count: 0,
                p95_ns: undefined,
                state: "idle",
                dns: true,
                unread: true,
            };
            pairs.set(key, pair);
        }
        pair.edges.push(edge);
        const signals = shown(edge.signals);
        if (signals) {
            pair.rate += signals.rate;
            pair.count += signals.count;
            pair.errors += signals.errors;
            pair.p95_ns = later(pair.p95_ns, (edge.signals.client ?? signals).duration?.p95_ns);
            pair.unread = false;
        }
        const port = `${key} ${edge.port} ${edge.transport ?? ""}`;
        if (!booked.has(port)) pair.bytes += bytesOf(shownBooks(edge.books)) / seconds;
        booked.add(port);
        pair.state = worst(pair.state, edge.state);
        pair.dns &&= edge.protocol === "dns";
    }
    const bytes = new Map<string, number>();
    for (const pair of pairs.values()) {
        for (const end of new Set([pair.client, pair.server])) bytes.set(end, (bytes.get(end) ?? 0) + pair.bytes);
    }
    const failed = new Map<string, number>();
    for (const pair of pairs.values()) failed.set(pair.server, (failed.get(pair.server) ?? 0) + unconnected(pair));
    return { cards: map.nodes.map((node) => card(node, bytes.get(node.id) ?? 0, failed.get(node.id) ?? 0)), pairs: [...pairs.values()] };
}

function card(node: Node, bytes: number, unconnected: number): Card {
    const answers: Signals | undefined = shown(node.answers);
    return {
        id: node.id,
        name: node.name,
        namespace: node.namespace,
        kind: node.kind,
        protocols: node.protocols,
        state: node.health.state,
        rate: (answers ?? shown(node.asks))?.rate ?? 0,
        p95_ns: answers?.duration?.p95_ns,
        bytes,
        unconnected,
        folded: 0,
    };
}

/** Failed connects of a pair, all its ports. */
export const unconnected = (pair: Pair): number =>
    pair.edges.reduce((sum, edge) => {
        const books = shownBooks(edge.books);
        return sum + (books ? failedConnects(books) : 0);
    }, 0);

/** What matches a filter, and whom it talks to. */
export function matching(whole: Graph, text: string, namespace: string): Graph {
    const wanted = text.trim().toLowerCase();
    if (wanted === "" && namespace === "") return whole;
    const hit = (card: Card): boolean =>
        (namespace === "" || card.namespace === namespace) &&
        (wanted === "" || `${card.namespace}/${card.name}`.toLowerCase().includes(wanted) || card.protocols.includes(wanted));
    const hits = new Set(whole.cards.filter(hit).map((card) => card.id));
    const pairs = whole.pairs.filter(
        (pair) =>
            hits.has(pair.client) ||
            hits.has(pair.server) ||
            (namespace === "" && pair.edges.some((edge) => wanted !== "" && String(edge.port) === wanted)),
    );
    const near = new Set([...hits, ...pairs.flatMap((pair) => [pair.client, pair.server])]);
    return { cards: whole.cards.filter((card) => near.has(card.id)), pairs };
}
