// The URL as a signal, and the ways to change it.

import { computed, signal } from "@preact/signals";
import { type Changes, type Page, changed, other, parse, write } from "./url";
import { looking } from "./range";

export const place = signal(parse(location.hash));
export const range = computed(() => looking(place.value));

addEventListener("hashchange", () => {
    place.value = parse(location.hash);
});

/** Changes what is looked at on this page. Each is a step that Back takes back, unless it is one of many (typing, dragging). */
export function change(changes: Changes, step = true): void {
    const next = write(changed(place.value, changes));
    if (next === write(place.value)) return;
    if (step) history.pushState(null, "", next);
    else history.replaceState(null, "", next);
    place.value = parse(next);
}

/** Where a link leads. */
export const link = (page: Page, id = "", changes: Changes = {}): string => write(other(place.value, page, id, changes));

export function go(page: Page, id = "", changes: Changes = {}): void {
    history.pushState(null, "", link(page, id, changes));
    place.value = parse(location.hash);
    scrollTo(0, 0);
}

/** The value of a parameter of this page, if it is one of these; else the first. */
export function oneOf<T extends string>(key: string, values: readonly [T, ...T[]]): T {
    const value = place.value.query[key];
    return values.find((known) => known === value) ?? values[0];
}

export const text = (key: string): string => place.value.query[key] ?? "";
