// A large map folded: each namespace is one card, the busiest first to be opened by a click. What is folded is counted, never left out.

import { type Card, type Graph, type Pair, worst } from "./graph";

/** More cards than that are not read any more. */
export const MOST = 150;

export interface Folding {
    graph: Graph;
    /** Cards that stand in another one. */
    cards: number;
    /** Pairs that became one with another, or lie within one card. */
    pairs: number;
    /** Who stands by himself, of those without a namespace. They stay when the map is asked again, busy or not. */
    free: ReadonlySet<string>;
}

/** The id of the card of a namespace, or of all of a kind that have none. */
export const groupOf = (card: Card): string => (card.namespace === "" ? `kind:${card.kind}` : `ns:${card.namespace}`);

const KINDS: Record<string, string> = {
    service: "services",
    dns: "DNS servers",
    database: "databases",
    external: "external hosts",
    other: "others",
};

/** `before` is how the same map was folded when it was last asked: whoever stood by himself does so again. */
export function fold(graph: Graph, open: ReadonlySet<string>, most = MOST, before?: Folding): Folding {
    // A map that is as large as that, now a little more and then a little less, does not change its shape each time.
    const enough = before !== undefined && before.cards > 0 ? most * 0.9 : most;
    if (graph.cards.length <= enough) return { graph, cards: 0, pairs: 0, free: new Set() };
    const groups = new Map<string, Card[]>();
    for (const card of graph.cards) {
        const group = groupOf(card);
        const members = groups.get(group);
        if (members) members.push(card);
        else groups.set(group, [card]);
    }
    const into = new Map<string, string>();
    const cards: Card[] = [];
    // Namespaces fold as a whole. Of what has none, the busiest stay, as many as there is room for: a host has nothing but these.
    const room = Math.max(most - groups.size, 20);
    const stood = (card: Card): number => (before?.free.has(card.id) ? 1 : 0);
    const free = new Set(
        [...groups]
            .filter(([group]) => group.startsWith("kind:") && !open.has(group))
            .flatMap(([, members]) => members)
            .sort((a, b) => stood(b) - stood(a) || b.rate - a.rate || b.bytes - a.bytes)
            .slice(0, room)
            .map((card) => card.id),
    );
    for (const [group, members] of groups) {
        const stay = open.has(group) ? members : group.startsWith("kind:") ? members.filter((card) => free.has(card.id)) : [];
        const rest = members.filter((card) => !stay.includes(card));
        cards.push(...stay);
        if (rest.length === 1) cards.push(...rest);
        if (rest.length < 2) continue;
        for (const card of rest) into.set(card.id, group);
        cards.push(together(group, rest));
    }
    const pairs = new Map<string, Pair>();
    for (const pair of graph.pairs) {
        const client = into.get(pair.client) ?? pair.client;
        const server = into.get(pair.server) ?? pair.server;
        const key = `${client} ${server}`;
        // Within one card there is nothing to draw.
        if (client === server && client !== pair.client) continue;
        const known = pairs.get(key);
        pairs.set(key, known ? joined(known, pair) : { ...pair, key, client, server });
    }
    const shown = { cards, pairs: [...pairs.values()] };
    return {
        graph: shown,
        cards: graph.cards.length - (cards.length - cards.filter((card) => card.folded > 0).length),
        pairs: graph.pairs.length - shown.pairs.length,
        free,
    };
}

function together(group: string, members: Card[]): Card {
    const [kind, name = ""] = group.split(/:(.*)/s);
    const first = members[0] as Card;
    return {
        id: group,
        name: kind === "ns" ? name : `${members.length} ${KINDS[name] ?? name}`,
        namespace: "",
        kind: kind === "ns" ? "service" : first.kind,
        protocols: [...new Set(members.flatMap((card) => card.protocols))],
        state: members.reduce((state, card) => worst(state, card.state), first.state),
        rate: members.reduce((sum, card) => sum + card.rate, 0),
        p95_ns: undefined,
        bytes: members.reduce((sum, card) => sum + card.bytes, 0),
        unconnected: members.reduce((sum, card) => sum + card.unconnected, 0),
        folded: members.length,
    };
}

function joined(one: Pair, two: Pair): Pair {
    const p95 = [one.p95_ns, two.p95_ns].filter((ns) => ns !== undefined);
    return {
        ...one,
        edges: [...one.edges, ...two.edges],
        rate: one.rate + two.rate,
        bytes: one.bytes + two.bytes,
        errors: one.errors + two.errors,
        count: one.count + two.count,
        p95_ns: p95.length > 0 ? Math.max(...p95) : undefined,
        state: worst(one.state, two.state),
        dns: one.dns && two.dns,
        unread: one.unread && two.unread,
    };
}
