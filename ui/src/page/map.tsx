// Who talks to whom.

import { knownSeconds } from "../api/meta";
import { useMemo, useRef, useState } from "preact/hooks";
import type { Meta, Topology } from "../api/types";
import { Drawing } from "../map/drawing";
import { EdgeTable } from "../map/edges";
import { type Folding, MOST, fold } from "../map/fold";
import { type Card, type Layer, graph, matching } from "../map/graph";
import { type Layout, layout } from "../map/layout";
import { Panel } from "../map/panel";
import { many } from "../format";
import { Answered, Banner, Nothing } from "../part/states";
import { useAnswer } from "../state/live";
import { change, oneOf, text } from "../state/place";

const EDGES = 2000;

export function MapPage() {
    const asked = useAnswer<Topology>("map", { limit: EDGES, namespace: text("ns") });
    const selected = text("sel");
    return (
        <div class="mappage">
            <h1 class="unseen">Map</h1>
            <div class={text("view") === "table" ? "mapside astable" : "mapside"}>
                <Banner meta={asked.answer?.meta ?? null} refusal={asked.refusal} />
                <Answered asked={asked}>{(data, meta) => <Whole map={data} meta={meta} />}</Answered>
            </div>
            {/^[0-9a-f]{16}$/.test(selected) && <Panel key={selected} id={selected} />}
        </div>
    );
}

function Whole({ map, meta }: { map: Topology; meta: Meta }) {
    const layer = oneOf("layer", ["l7", "l4"]) as Layer;
    const [filter, namespace, selected, opened] = [text("q"), text("ns"), text("sel"), text("open")];
    const unfold = text("unfold") === "1";
    const seconds = knownSeconds(meta);
    const [tidied, setTidied] = useState(0);
    const last = useRef<{ what: string; folding: Folding; layout: Layout } | null>(null);
    const seen = useMemo(() => {
        const wanted = matching(graph(map, seconds), filter, namespace);
        // The same map keeps its cards and their places when it is asked again; another filter is another map.
        const what = [filter, namespace, opened, unfold, tidied].join("|");
        const before = last.current?.what === what ? last.current : undefined;
        const folding = fold(wanted, new Set(opened === "" ? [] : opened.split(",")), unfold ? Infinity : MOST, before?.folding);
        const fresh = layout(folding.graph, before?.layout);
        // Another map has places of its own, whatever the one before had.
        const placed = before === undefined ? { ...fresh, turn: fresh.turn + (last.current?.layout.turn ?? 0) } : fresh;
        last.current = { what, folding, layout: placed };
        return { whole: wanted, folding, placed };
    }, [map, filter, namespace, opened, unfold, seconds, tidied]);
    const { folding, placed, whole } = seen;
    const { cards, pairs } = folding.graph;
    if (whole.cards.length === 0) return <Nothing what="services" filtered={map.nodes.length > 0} />;

    const dns = pairs.filter((pair) => pair.dns);
    const all = text("dns") === "1" || layer === "l4";
    // They lead from everyone to one: they are drawn where they are asked for.
    const drawn = pairs.filter((pair) => !pair.dns || all || pair.client === selected || pair.server === selected);
    const slow = whole.cards.filter((card) => card.state === "degraded").length;
    const failing = whole.cards.filter((card) => card.state === "failing").length;
    const table = oneOf("view", ["drawing", "table"]) === "table";
    const select = (id: string): void => {
        if (/^(ns|kind):/.test(id)) change({ open: opened === "" ? id : `${opened},${id}` });
        else change({ sel: id === selected ? undefined : id });
    };
    return (
        <>
            <div class="mapcounts">
                {kinds(whole.cards).map(([n, what]) => (
                    <span key={what}>
                        <b>{n}</b> {what}
                    </span>
                ))}
                <span>
                    <b>{whole.pairs.length}</b> edges
                </span>
                {slow > 0 && <span class="degraded">{slow} slow</span>}
                {failing > 0 && <span class="failing">{failing} failing</span>}
                {folding.cards > 0 && (
                    <span>
                        showing {cards.length} of {whole.cards.length}, {many(folding.pairs, "edge")} folded{" "}
                        <button type="button" class="inline" onClick={() => change({ unfold: true })}>
                            unfold all
                        </button>
                    </span>
                )}
                {(unfold || opened !== "") && (
                    <button type="button" class="inline" onClick={() => change({ unfold: undefined, open: undefined })}>
                        fold
                    </button>
                )}
                {map.edges.length < map.edges_total && (
                    <span class="degraded">
                        the busiest {map.edges.length} of {map.edges_total} edges; a shorter range shows the others
                    </span>
                )}
                <button type="button" class="inline" aria-pressed={table} onClick={() => change({ view: table ? undefined : "table" })}>
                    {table ? "Drawing" : "Table"}
                </button>
            </div>
            {table ? (
                <div class="padded">
                    <EdgeTable caption="Who talks to whom" edges={whole.pairs.flatMap((pair) => pair.edges)} seconds={seconds} />
                </div>
            ) : (
                <>
                    <Drawing
                        cards={cards}
                        pairs={drawn}
                        layout={placed}
                        layer={layer}
                        selected={selected}
                        onSelect={select}
                        onTidy={() => setTidied(tidied + 1)}
                    />
                    <div class="maplegend">
                        <span>
                            <i class="key healthy" />
                            healthy
                        </span>
                        <span>
                            <i class="key degraded" />
                            slow or &gt;1% errors
                        </span>
                        <span>
                            <i class="key failing" />
                            &gt;5% errors, or no connection
                        </span>
                        {layer === "l7" && (
                            <span>
                                <i class="key unread" />
                                requests not read
                            </span>
                        )}
                        <span class="dim">edge width = {layer === "l7" ? "requests/s" : "bytes/s"} (log)</span>
                        {dns.length > 0 && layer === "l7" && (
                            <button type="button" class="inline" aria-pressed={all} onClick={() => change({ dns: !all })}>
                                DNS edges {all ? "shown" : "on focus"} · {dns.length}
                            </button>
                        )}
                    </div>
                </>
            )}
        </>
    );
}

/** Whoever answers, and apart from these who resolves names and who is elsewhere. */
function kinds(cards: readonly Card[]): [n: number, what: string][] {
    const of = (...kinds: Card["kind"][]): number => cards.filter((card) => kinds.includes(card.kind)).length;
    const all: [number, string][] = [
        [of("service", "database", "other"), "services"],
        [of("dns"), "DNS"],
        [of("external"), "outside"],
    ];
    return all.filter(([n], at) => n > 0 || at === 0);
}
