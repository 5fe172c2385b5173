// The map as a drawing: cards and lines. It is painted once, on a layer of its own: dragging moves that layer and paints nothing anew, which is
// what makes it even on a machine without a graphics card. Zooming paints it anew, so that it is sharp at every size.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { byteRate, duration, full, many, percent, rate } from "../format";
import { iconPath } from "../part/icons";
import { iconOf } from "../part/words";
import { type Card, type Layer, type Pair, unconnected } from "./graph";
import { CARD, type Layout, type Spot } from "./layout";
import { type Columns, columns, line } from "./line";

interface Properties {
    cards: readonly Card[];
    pairs: readonly Pair[];
    layout: Layout;
    layer: Layer;
    selected: string;
    onSelect: (id: string) => void;
    /** Everything is placed anew. */
    onTidy: () => void;
}

interface View {
    x: number;
    y: number;
    scale: number;
}

const MARGIN = 32;
/** The wheel rests after so long. */
const REST_MS = 150;

export function Drawing({ cards, pairs, layout, layer, selected, onSelect, onTidy }: Properties) {
    const surface = useRef<HTMLDivElement>(null);
    const svg = useRef<SVGSVGElement>(null);
    const world = useRef<SVGGElement>(null);
    const view = useRef<View>({ x: 0, y: 0, scale: 1 });
    const moved = useRef(false);
    const now = useRef(layout);
    now.current = layout;
    const [hidden, setHidden] = useState(0);

    /** The scale that the layer was painted at. */
    const painted = useRef(1);
    const rest = useRef(0);
    const apply = (): void => {
        const { x, y, scale } = view.current;
        // What was painted is stretched while the wheel turns, and painted anew, sharp, when it rests.
        const by = scale / painted.current;
        const size = Math.abs(by - 1) < 1e-9 ? "" : ` scale(${by})`;
        // Whole pixels: a layer that stands between two is blurred.
        if (svg.current) svg.current.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)${size}`;
    };
    const paint = (): void => {
        clearTimeout(rest.current);
        painted.current = view.current.scale;
        world.current?.setAttribute("transform", `scale(${painted.current})`);
        apply();
    };
    const room = (): { width: number; height: number } => ({ width: surface.current?.clientWidth ?? 0, height: surface.current?.clientHeight ?? 0 });
    const fit = (): void => {
        const { width, height } = room();
        if (width === 0) return;
        const { x: left, y: top, width: wide, height: tall } = now.current;
        const scale = Math.min((width - 2 * MARGIN) / wide, (height - 112) / tall, 1.25);
        const readable = Math.max(scale, 0.3);
        // What does not fit is seen from its beginning.
        const x = wide * readable > width - MARGIN ? MARGIN : (width - wide * readable) / 2;
        view.current = { x: x - left * readable, y: Math.max((height - tall * readable) / 2, 56) - top * readable, scale: readable };
        moved.current = false;
        paint();
        setHidden(0);
    };
    const zoom = (by: number, cx: number, cy: number): void => {
        const { x, y, scale } = view.current;
        const next = Math.min(Math.max(scale * by, 0.1), 3);
        view.current = { x: cx - ((cx - x) * next) / scale, y: cy - ((cy - y) * next) / scale, scale: next };
        moved.current = true;
        clearTimeout(rest.current);
        rest.current = window.setTimeout(paint, REST_MS);
        // Of what is painted small nothing large can be made.
        if (next > painted.current * 2.5) paint();
        else apply();
    };
    const middle = (by: number): void => {
        zoom(by, room().width / 2, room().height / 2);
        paint();
    };
    const pan = (dx: number, dy: number): void => {
        view.current = { ...view.current, x: view.current.x + dx, y: view.current.y + dy };
        moved.current = true;
        apply();
    };
    const seen = ({ x, y }: Spot): boolean => {
        const { x: dx, y: dy, scale } = view.current;
        const { width, height } = room();
        const [left, top] = [dx + x * scale, dy + y * scale];
        return left + CARD.width * scale > 0 && left < width && top + CARD.height * scale > 0 && top < height;
    };

    // Another map is fitted; one that has grown stays where it is, and what came out of sight is told.
    const known = useRef<ReadonlySet<string>>(new Set());
    useLayoutEffect(() => {
        fit();
        known.current = new Set(layout.spots.keys());
    }, [layout.turn]);
    useLayoutEffect(() => {
        const fresh = cards.filter((card) => !known.current.has(card.id));
        const away = fresh.filter((card) => !seen(layout.spots.get(card.id) as Spot)).length;
        setHidden(away);
    }, [layout, cards]);
    useEffect(() => {
        const element = surface.current;
        if (element === null) return;
        const resize = new ResizeObserver(() => (moved.current ? apply() : fit()));
        resize.observe(element);
        // Preact's own handlers are passive here and there: this one has to keep the page from scrolling.
        const wheel = (event: WheelEvent): void => {
            event.preventDefault();
            const bounds = element.getBoundingClientRect();
            if (event.ctrlKey || event.deltaMode !== 0 || Math.abs(event.deltaY) >= 40)
                zoom(Math.exp(-event.deltaY / 500), event.clientX - bounds.left, event.clientY - bounds.top);
            else pan(-event.deltaX, -event.deltaY);
        };
        element.addEventListener("wheel", wheel, { passive: false });
        return () => {
            clearTimeout(rest.current);
            resize.disconnect();
            element.removeEventListener("wheel", wheel);
        };
    }, []);

    const drag = useRef<{ x: number; y: number; far: boolean } | null>(null);
    const down = (event: PointerEvent): void => {
        if (event.button === 0) drag.current = { x: event.clientX, y: event.clientY, far: false };
    };
    const move = (event: PointerEvent): void => {
        const from = drag.current;
        if (from === null) return;
        const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
        if (!from.far && Math.hypot(dx, dy) < 4) return;
        if (!from.far) surface.current?.setPointerCapture(event.pointerId);
        drag.current = { x: event.clientX, y: event.clientY, far: true };
        pan(dx, dy);
    };
    const up = (event: PointerEvent): void => {
        const was = drag.current;
        drag.current = null;
        if (was && !was.far && (event.target as Element).closest(".card") === null) onSelect("");
    };
    const keys = (event: KeyboardEvent): void => {
        const step = 60;
        const to: Record<string, () => void> = {
            ArrowLeft: () => pan(step, 0),
            ArrowRight: () => pan(-step, 0),
            ArrowUp: () => pan(0, step),
            ArrowDown: () => pan(0, -step),
            "+": () => middle(1.25),
            "-": () => middle(0.8),
            "0": fit,
        };
        const act = to[event.key];
        if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        act();
    };

    const near = new Map<string, Pair>();
    for (const pair of pairs) {
        if (pair.client === selected) near.set(pair.server, pair);
        if (pair.server === selected) near.set(pair.client, pair);
    }
    const clear = selected === "";
    const standing = columns(cards.flatMap((card) => layout.spots.get(card.id) ?? []));
    return (
        <div class="drawing">
            <div
                ref={surface}
                class="surface"
                role="group"
                aria-label="Map of who talks to whom. Arrow keys move it, plus and minus zoom, 0 fits it. The button Table shows the same as a table."
                tabIndex={0}
                onPointerDown={down}
                onPointerMove={move}
                onPointerUp={up}
                onPointerCancel={up}
                onKeyDown={keys}
            >
                <svg ref={svg} class="world">
                    <defs>
                        {["healthy", "degraded", "failing", "near"].map((kind) => (
                            <marker
                                key={kind}
                                id={`arrow-${kind}`}
                                class={`arrow ${kind}`}
                                viewBox="0 0 8 8"
                                refX="1"
                                refY="4"
                                markerWidth="8"
                                markerHeight="8"
                                markerUnits="userSpaceOnUse"
                                orient="auto"
                            >
                                <path d="M0 0.500L8 4 0 7.500z" />
                            </marker>
                        ))}
                    </defs>
                    <g ref={world}>
                        <g>
                            {pairs.map((pair) => (
                                <Line
                                    key={pair.key}
                                    pair={pair}
                                    layout={layout}
                                    standing={standing}
                                    layer={layer}
                                    near={pair.client === selected || pair.server === selected}
                                    far={!clear}
                                />
                            ))}
                        </g>
                        <g>
                            {cards.map((card) => {
                                const spot = layout.spots.get(card.id);
                                const pair = near.get(card.id);
                                return (
                                    spot && (
                                        <Box
                                            key={card.id}
                                            card={card}
                                            spot={spot}
                                            layer={layer}
                                            chosen={card.id === selected}
                                            far={!clear && card.id !== selected && pair === undefined}
                                            relation={
                                                pair && {
                                                    text: numbers(pair, layer),
                                                    incoming: pair.client === selected,
                                                    bad: pair.state === "degraded" || pair.state === "failing",
                                                }
                                            }
                                            onSelect={onSelect}
                                            onFocus={() => reveal(spot)}
                                        />
                                    )
                                );
                            })}
                        </g>
                    </g>
                </svg>
            </div>
            {hidden > 0 && (
                <button type="button" class="beyond" onClick={fit}>
                    {many(hidden, "new card is", "new cards are")} out of sight: fit
                </button>
            )}
            <div class="zoom" role="group" aria-label="Zoom">
                <button type="button" aria-label="Zoom in" onClick={() => middle(1.25)}>
                    +
                </button>
                <button type="button" aria-label="Zoom out" onClick={() => middle(0.8)}>
                    −
                </button>
                <button type="button" aria-label="Fit the whole map" title="Fit the whole map (0)" onClick={fit}>
                    fit
                </button>
                <button type="button" aria-label="Tidy: place all cards anew" title="Place all cards anew" onClick={onTidy}>
                    tidy
                </button>
            </div>
        </div>
    );

    /** Whoever steps from card to card with the keyboard sees where he is. */
    function reveal(spot: Spot): void {
        if (drag.current !== null) return;
        const { x, y, scale } = view.current;
        const { width, height } = room();
        const [left, top] = [x + spot.x * scale, y + spot.y * scale];
        const dx = left < 0 ? 24 - left : left + CARD.width * scale > width ? width - 24 - left - CARD.width * scale : 0;
        const dy = top < 48 ? 56 - top : top + CARD.height * scale > height ? height - 56 - top - CARD.height * scale : 0;
        if (dx !== 0 || dy !== 0) pan(dx, dy);
    }
}

/** What is said of a pair, in the place of a neighbour's own numbers. */
function numbers(pair: Pair, layer: Layer): string {
    if (layer === "l4" || pair.unread) {
        const failed = unconnected(pair);
        return failed > 0 && pair.bytes === 0 ? `${failed} failed` : byteRate(pair.bytes);
    }
    const ratio = pair.count > 0 ? pair.errors / pair.count : 0;
    return `${rate(pair.rate)} · ${ratio >= 0.01 ? `${percent(ratio)} err` : duration(pair.p95_ns)}`;
}

/** By the logarithm: a hundred times as many is three times as wide. */
const thickness = (value: number): number => Math.min(1 + Math.log10(1 + value) * 1.1, 7);

interface LineProperties {
    pair: Pair;
    layout: Layout;
    /** Who stands in its way. */
    standing: Columns;
    layer: Layer;
    near: boolean;
    far: boolean;
}

function Line({ pair, layout, standing, layer, near, far }: LineProperties) {
    const [from, to] = [layout.spots.get(pair.client), layout.spots.get(pair.server)];
    if (!from || !to || pair.client === pair.server) return null;
    const width = layer === "l4" ? thickness(pair.bytes / 1000) : thickness(pair.rate);
    const bad = pair.state === "degraded" || pair.state === "failing" ? pair.state : "healthy";
    const kind = near && bad === "healthy" ? "near" : bad;
    const rest = `${far && !near ? " far" : ""}${pair.dns ? " dns" : ""}${pair.unread && layer === "l7" ? " unread" : ""}`;
    return (
        <path
            class={`line ${kind}${rest}`}
            d={line(from, to, standing)}
            stroke-width={width.toFixed(2)}
            marker-end={far && !near ? undefined : `url(#arrow-${kind})`}
        />
    );
}

interface BoxProperties {
    card: Card;
    spot: Spot;
    layer: Layer;
    chosen: boolean;
    far: boolean;
    relation: { text: string; incoming: boolean; bad: boolean } | undefined;
    onSelect: (id: string) => void;
    onFocus: () => void;
}

/** Who was asked nothing that could be read is told by its bytes, or by why it has none. */
function ownNumbers(card: Card, layer: Layer): string {
    if (layer === "l7" && card.rate > 0) return [rate(card.rate), ...(card.p95_ns === undefined ? [] : [duration(card.p95_ns)])].join(" · ");
    if (card.bytes > 0) return byteRate(card.bytes);
    return card.unconnected > 0 ? `${many(card.unconnected, "connect")} failed` : "no bytes";
}

/** The first number, where a port stands before it. */
const brief = (numbers: string): string => (numbers.split(" · ")[0] as string).replace(/ connects? failed$/, " failed");

const ruler = document.createElement("canvas").getContext("2d");
/** What names were shortened to. Emptied when it is full: a map asks for the same few hundred again and again. */
const shortened = new Map<string, string>();
const MOST_SHORTENED = 4000;

/** An address apart from its port: all of its digits tell it apart from others, so they stand on the card, the port in the second line. */
function parts(name: string): { host: string; port: string } {
    const [, host = name, port = ""] = /^(\d+\.\d+\.\d+\.\d+|\[[\da-f:.]+\])(:\d+)$/i.exec(name) ?? [];
    return { host, port };
}

/** As much of a name as there is room for: its beginning. Its letters are so large, in pixels. */
function short(name: string, room: number, size: number): string {
    const key = `${room} ${size} ${name}`;
    const known = shortened.get(key);
    if (known !== undefined) return known;
    const made = cut(name, room, size);
    if (shortened.size >= MOST_SHORTENED) shortened.clear();
    shortened.set(key, made);
    return made;
}

function cut(name: string, room: number, size: number): string {
    if (ruler === null) return name.slice(0, 14);
    ruler.font = `600 ${size}px ${getComputedStyle(document.body).fontFamily}`;
    const fits = (text: string): boolean => ruler.measureText(text).width <= room;
    if (fits(name)) return name;
    let length = name.length - 1;
    while (length > 1 && !fits(`${name.slice(0, length)}…`)) length--;
    return `${name.slice(0, length)}…`;
}

function Box({ card, spot, layer, chosen, far, relation, onSelect, onFocus }: BoxProperties) {
    const own = ownNumbers(card, layer);
    const whole = card.folded > 0 ? `${card.folded} in it · ${own}` : own;
    const said = relation ? `${relation.incoming ? "in" : "out"} ${relation.text}` : whole;
    const bad = card.state === "degraded" || card.state === "failing";
    const act = (): void => onSelect(card.id);
    const { host, port } = parts(card.name);
    return (
        <g
            class={`card ${card.state} ${card.kind}${chosen ? " chosen" : ""}${far ? " far" : ""}`}
            transform={`translate(${spot.x} ${spot.y})`}
            role="button"
            // In lower case: attributes of SVG are what they are written as, and `tabIndex` is none.
            tabindex={0}
            aria-pressed={chosen}
            onClick={act}
            onFocus={onFocus}
            onKeyDown={(event) => {
                if (event.key !== "Enter" && event.key !== " ") return;
                event.preventDefault();
                act();
            }}
        >
            <title>{`${full(card)}, ${card.state}, ${said}${card.folded > 0 ? `; opens the ${card.folded} that are folded into it` : ""}`}</title>
            {card.folded > 0 && <rect class="behind" x="4" y="-4" width={CARD.width - 8} height={CARD.height} rx="6" />}
            <rect class="face" width={CARD.width} height={CARD.height} rx="6" />
            <rect class="status" x="1" y="6" width="3" height={CARD.height - 12} rx="1.500" />
            <path
                class="icon"
                transform="translate(11 10) scale(0.667)"
                d={iconPath(card.folded > 0 ? "group" : iconOf(card.kind, card.protocols))}
            />
            <text class={port === "" ? "name" : "name address"} x="34" y="15">
                {short(host, CARD.width - (bad ? 56 : 40), port === "" ? 11.5 : 10.5)}
            </text>
            <text class={relation ? `numbers relation${relation.bad ? " bad" : ""}` : "numbers"} x="34" y="28">
                {port === "" ? said : `${port} · ${relation ? said : brief(own)}`}
            </text>
            {bad && (
                <g transform={`translate(${CARD.width - 12} 11)`}>
                    <circle class="sign" r="6.500" />
                    <text class="mark" y="3.500">
                        !
                    </text>
                </g>
            )}
        </g>
    );
}
