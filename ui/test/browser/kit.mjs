// What the browser tests have in common: a page, how it is opened, what is asserted of each.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { browser } from "./chromium.mjs";

/** Screenshots of everything that the tests have looked at. */
const SHOTS = process.env.STETH_UI_SHOTS ?? fileURLToPath(new URL("../../../target/ui-screenshots/", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A browser, and `open`, `axe`, `shot` for its page. `options` are the browser's. */
export async function pages(options = {}) {
    const chromium = await browser(options);
    const { page } = chromium;
    let complaints = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    const settled = () => page.waitForFunction(() => document.querySelector("main .waiting") === null);
    return {
        ...chromium,
        settled,
        query: () => new URLSearchParams(new URL(page.url()).hash.split("?")[1] ?? ""),
        where: () => new URL(page.url()).hash.split("?")[0],
        /** What the browser complained of since the last `open`: errors of scripts, and what the content security policy has refused. */
        complaints: () => complaints,
        async open(url, place) {
            // Nothing of the place before stays.
            await page.goto("about:blank");
            complaints = [];
            await page.goto(`${url}#/${place}`);
            await page.locator("main h1, main h2").first().waitFor({ state: "attached" });
            await settled();
            await page.waitForLoadState("networkidle");
        },
        async shot(name) {
            mkdirSync(SHOTS, { recursive: true });
            await page.screenshot({ path: `${SHOTS}/${name}.png` });
        },
        /** That axe finds nothing serious in what is shown. */
        async axe() {
            // The policy of the page lets no script in: this one comes by the debugger.
            await page.evaluate(`${AXE};0`);
            const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
            const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
            const told = ({ id, nodes }) => {
                const some = nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`);
                return `${id}: ${some.join("\n")}`;
            };
            assert.deepEqual(serious.map(told), []);
        },
        /** Contrasts of all texts of the map with the cards behind them, which axe does not look at: those below 4.5. */
        faint: () =>
            page.evaluate(() => {
                const rgb = (css) => {
                    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
                    canvas.fillStyle = css;
                    canvas.fillRect(0, 0, 1, 1);
                    return canvas.getImageData(0, 0, 1, 1).data;
                };
                const light = (css) => {
                    const [r, g, b] = [...rgb(css)]
                        .map((part) => part / 255)
                        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                };
                const below = [];
                for (const card of document.querySelectorAll(".card")) {
                    const face = getComputedStyle(card.querySelector(".face"));
                    for (const text of card.querySelectorAll(".name, .numbers")) {
                        const { fill } = getComputedStyle(text);
                        const visible = Number(getComputedStyle(card).opacity) * Number(getComputedStyle(text).opacity);
                        const [a, b] = [light(fill), light(face.fill)].sort((a, b) => b - a);
                        const contrast = (a + 0.05) / (b + 0.05);
                        if (contrast < 4.5 || visible < 1)
                            below.push(`${card.getAttribute("class")}: ${text.textContent} ${contrast.toFixed(2)} ${visible}`);
                    }
                }
                return below;
            }),
    };
}

const UNITS = { "": 1, k: 1e3, M: 1e6, G: 1e9, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, ns: 1, µs: 1e3, ms: 1e6, s: 1e9, min: 60e9, h: 3600e9, "%": 0.01 };

/**
 * The number that a text of the page says: `1.2k/s` is 1200, `3.5/min` is 3.5 / 60, `746 ms` is 746e6, `0.32%` is 0.0032, `–` is null. Written anew,
 * and not with what wrote the text.
 */
export function said(text) {
    const words = text.trim().replaceAll("\u202f", "");
    if (words === "–") return null;
    const found = /^([<≥]?)(\d+(?:\.\d+)?)\s?([a-zA-Zµ%]*)(?:\/(s|min|h))?$/.exec(words);
    assert.ok(found, `no number: ${text}`);
    const [, , digits, unit, per] = found;
    assert.ok(unit in UNITS, `no unit: ${text}`);
    return (Number(digits) * UNITS[unit]) / ({ min: 60, h: 3600 }[per] ?? 1);
}

/** That a text of the page says this number, as far as three digits do. */
export function says(text, number, what) {
    const read = said(text);
    if (number === null || number === undefined) return assert.equal(read, null, what);
    assert.ok(
        read !== null && Math.abs(read - number) <= Math.max(Math.abs(number) * 0.06, 0.0006),
        `${what}: the page says ${text}, the agent ${number}`,
    );
}
