// Who stands in which column: callers left of whom they call. Cycles are cut by a depth-first search, columns are longest paths, and what only
// answers (stores, DNS, externals) stands at the right.

import type { Card, Graph } from "./graph";

/** Stores, and then those outside, have columns of their own. */
function shelf(card: Card, calls: boolean): 0 | 1 | 2 {
    if (calls) return 0;
    if (card.kind === "external" || card.kind === "dns") return 2;
    return card.kind === "database" ? 1 : 0;
}

/** The column of each card, from 0. */
export function layers({ cards, pairs }: Graph): Map<string, number> {
    const known = new Map(cards.map((card) => [card.id, card]));
    const out = new Map<string, string[]>(cards.map((card) => [card.id, []]));
    const asked = new Set<string>();
    // DNS edges lead from everywhere to one: they would only pull columns apart.
    for (const pair of [...pairs].sort((a, b) => b.rate - a.rate || (a.key < b.key ? -1 : 1))) {
        if (pair.client === pair.server || !known.has(pair.client) || !known.has(pair.server)) continue;
        if (!pair.dns) out.get(pair.client)?.push(pair.server);
        asked.add(pair.server);
    }
    const order = acyclic(cards, out, asked);
    const column = new Map<string, number>();
    for (const id of order) if (!column.has(id)) column.set(id, 0);
    // In the order of a finished depth-first search turned round, each comes after all who call it.
    for (const id of order) {
        const at = column.get(id) ?? 0;
        for (const next of out.get(id) ?? []) column.set(next, Math.max(column.get(next) ?? 0, at + 1));
    }
    const shelves = new Map(cards.map((card) => [card.id, asked.has(card.id) ? shelf(card, (out.get(card.id) ?? []).length > 0) : 0]));
    const last = Math.max(0, ...cards.filter((card) => shelves.get(card.id) === 0).map((card) => column.get(card.id) ?? 0));
    const stores = [...shelves.values()].some((at) => at === 1) ? last + 1 : last;
    for (const card of cards) {
        const at = shelves.get(card.id);
        if (at === 1) column.set(card.id, stores);
        if (at === 2) column.set(card.id, stores + 1);
    }
    return column;
}

/** Takes edges that close a circle out of `out`; returns a topological order. */
function acyclic(cards: readonly Card[], out: Map<string, string[]>, asked: ReadonlySet<string>): string[] {
    const done: string[] = [];
    const state = new Map<string, "open" | "done">();
    const busiest = [...cards].sort((a, b) => b.rate - a.rate || (a.id < b.id ? -1 : 1));
    // Those whom nobody calls begin; then the busiest of what only calls each other.
    for (const root of [...busiest.filter((card) => !asked.has(card.id)), ...busiest]) {
        if (state.has(root.id)) continue;
        const stack: { id: string; at: number }[] = [{ id: root.id, at: 0 }];
        state.set(root.id, "open");
        while (stack.length > 0) {
            const top = stack[stack.length - 1] as { id: string; at: number };
            const next = out.get(top.id) as string[];
            const to = next[top.at];
            if (to === undefined) {
                state.set(top.id, "done");
                done.push(top.id);
                stack.pop();
            } else if (state.get(to) === "open") {
                next.splice(top.at, 1);
            } else {
                top.at++;
                if (!state.has(to)) {
                    state.set(to, "open");
                    stack.push({ id: to, at: 0 });
                }
            }
        }
    }
    return done.reverse();
}
