// The keyboard.

import { signal } from "@preact/signals";
import { agentNow } from "./api/client";
import { change, go, place, range } from "./state/place";
import { fixed, following, nearest, shifted } from "./state/range";
import { toggle } from "./state/theme";
import type { Page } from "./state/url";

export const help = signal(false);

export const KEYS: [keys: string, what: string][] = [
    ["/", "filter"],
    ["g m", "map"],
    ["g s", "services"],
    ["g p", "protocols"],
    ["g r", "requests"],
    ["g n", "network"],
    ["g d", "DNS"],
    ["g a", "agent"],
    ["[ ]", "earlier, later by half the range"],
    ["l", "live, or stop here"],
    ["t", "light or dark"],
    ["?", "this list"],
    ["Esc", "close, leave the filter"],
];

const PAGES: Record<string, Page> = { m: "map", s: "services", p: "protocols", r: "requests", n: "network", d: "dns", a: "agent" };

/** The live range stops where it is, or what is looked at follows again. */
export function live(): void {
    const at = range.peek();
    const now = agentNow();
    change(at.live ? fixed({ from_ms: now - at.ms, to_ms: now }) : following(nearest(at.ms)));
}

export const shift = (by: -1 | 1): void => change(fixed(shifted(range.peek(), by, agentNow())));

let leading = 0;

addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select");
    if (event.key === "Escape") {
        if (typing) target.blur();
        else if (help.peek()) help.value = false;
        else change({ sel: undefined, req: undefined });
        return;
    }
    if (typing || help.peek()) {
        if (event.key === "?" && !typing) help.value = false;
        return;
    }
    const led = event.timeStamp - leading < 1500;
    leading = 0;
    const page = PAGES[event.key];
    if (led && page !== undefined) go(page);
    else if (event.key === "g") leading = event.timeStamp;
    else if (event.key === "/") document.querySelector<HTMLInputElement>("#filter")?.focus();
    else if (event.key === "[") shift(-1);
    else if (event.key === "]") shift(1);
    else if (event.key === "l") live();
    else if (event.key === "t") toggle();
    else if (event.key === "?") help.value = true;
    else return;
    event.preventDefault();
});

/** A link that shows what is seen now, whenever it is opened. */
export function frozenLink(): string {
    const at = range.peek();
    const now = agentNow();
    const query = new URLSearchParams(Object.entries(place.peek().query));
    query.delete("last");
    const { from, to } = at.live ? fixed({ from_ms: now - at.ms, to_ms: now }) : { from: at.range.from_ms, to: at.range.to_ms };
    query.set("from", String(from));
    query.set("to", String(to));
    const { page, id } = place.peek();
    return `${location.origin}${location.pathname}#/${page}${id === "" ? "" : `/${id}`}?${query}`;
}
