// Light or dark: as the URL says, else as the system likes it.

import { computed, effect, signal } from "@preact/signals";
import { change, place } from "./place";

const system = matchMedia("(prefers-color-scheme: dark)");
const likes = signal(system.matches);
system.addEventListener("change", () => (likes.value = system.matches));

export type Theme = "light" | "dark";
export const theme = computed<Theme>(() => {
    const wanted = place.value.query["theme"];
    return wanted === "light" || wanted === "dark" ? wanted : likes.value ? "dark" : "light";
});

effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
});

export const toggle = (): void => change({ theme: theme.peek() === "dark" ? "light" : "dark" }, false);

/** The value of a colour of the theme, for canvases. */
export const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
