// How fast the page is: first paint, and how evenly a map pans and zooms. Prints the rows of docs/performance.md; nothing is asserted, since
// times are the machine's.
//
//     make bench-ui                                  root; or: node ui/test/browser/bench.mjs [SERVICES ...]
//     STETH_AGENT=PATH                               the agent's program; default target/release/steth
//
// Each map is of so many real services (150 and 500 if nothing is said) that a running agent has observed. While the page is measured they are
// stopped: what is measured is the page, and not how a few hundred processes share the machine with it.

import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { browser } from "./chromium.mjs";
import { many } from "./many.mjs";
import { agentOnly, freePort, until } from "./shop.mjs";

const LOADS = 9;
const ROUNDS = 5;
const ROUND_MS = 3000;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [150, 500];

const sorted = (values) => [...values].sort((a, b) => a - b);
const at = (values, share) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * share))];
const median = (values) => at(values, 0.5);

/** A row of docs/performance.md: the median of rounds, the least and the most. */
function row(figure, unit, values, target = "") {
    const digits = (value) => value.toFixed(unit === "ms" && value < 100 ? 1 : 0);
    console.log(`| ${figure} | ${unit} | ${digits(median(values))} | ${digits(Math.min(...values))} – ${digits(Math.max(...values))} | ${target} |`);
}

const verdict = (good, words) => `${words} ${good ? "met" : "**missed**"}`;

/** Times between frames while `act` goes on. */
async function frames(page, act) {
    const times = page.evaluate(
        (length) =>
            new Promise((done) => {
                const times = [];
                let before = performance.now();
                const end = before + length;
                const next = (now) => {
                    times.push(now - before);
                    before = now;
                    if (now < end) requestAnimationFrame(next);
                    else done(times.slice(1));
                };
                requestAnimationFrame(next);
            }),
        ROUND_MS,
    );
    const end = Date.now() + ROUND_MS;
    for (let n = 0; Date.now() < end; n++) await act(n);
    return times;
}

const perSecond = (times) => times.length / (times.reduce((sum, time) => sum + time, 0) / 1000);

async function measure(page, url, services) {
    const place = `${url}#/map?last=15m&q=service-`;
    const [paints, firsts] = [[], []];
    for (let n = 0; n < LOADS; n++) {
        await page.goto("about:blank");
        await page.goto(place);
        await page.locator(".card").first().waitFor();
        const [paint, first] = await page.evaluate(async () => {
            // The card is in the page: it is painted in the frame after the next.
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            return [performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN, performance.now()];
        });
        paints.push(paint);
        firsts.push(first);
    }
    await page.waitForLoadState("networkidle");
    const cards = await page.locator(".card").count();
    const lines = await page.locator("path.line").count();
    const what = (await page.locator(".mapcounts").innerText()).replace(/\s+/g, " ");
    const box = await page.locator(".drawing").boundingBox();
    const [x, y] = [box.x + box.width - 60, box.y + 140];
    const pans = [];
    for (let round = 0; round < ROUNDS; round++) {
        await page.mouse.move(x, y);
        await page.mouse.down();
        pans.push(await frames(page, (n) => page.mouse.move(x - 300 * Math.abs(Math.sin(n / 30)), y + 200 * Math.sin(n / 20))));
        await page.mouse.up();
    }
    const zooms = [];
    for (let round = 0; round < ROUNDS; round++) {
        await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
        zooms.push(await frames(page, (n) => page.mouse.wheel(0, n % 40 < 20 ? -60 : 60)));
    }
    const name = `${services} services, ${cards} cards, ${lines} lines`;
    row(`${name}: first paint`, "ms", paints, verdict(median(paints) < 1000, "< 1,000"));
    row(`${name}: the map is drawn`, "ms", firsts, verdict(median(firsts) < 1000, "< 1,000"));
    const rates = pans.map(perSecond);
    row(`${name}: panning`, "frames/s", rates, cards <= 150 ? verdict(median(rates) > 59, "60") : "");
    row(
        `${name}: a frame while panning, p99`,
        "ms",
        pans.map((times) => at(times, 0.99)),
    );
    row(`${name}: zooming`, "frames/s", zooms.map(perSecond));
    return what;
}

console.log("| figure | unit | median | min – max | target |\n|---|---|---|---|---|");
const notes = [];
for (const services of sizes) {
    const crowd = await many(services, await freePort(services));
    const agent = await agentOnly();
    const chromium = await browser();
    try {
        await until(
            "all services and all of their edges are seen",
            async () => {
                const { data } = await agent.ask("map?last=15m&limit=2000");
                const of = new Set(data.nodes.filter(({ name }) => name.startsWith("service-")).map(({ id }) => id));
                const asking = new Set(
                    data.edges.filter(({ client, server }) => of.has(client) && of.has(server)).map(({ client, server }) => client + server),
                );
                return of.size >= services && asking.size >= crowd.pairs;
            },
            300,
        );
        crowd.rest();
        const { url } = agent;
        notes.push(`${services}: “${await measure(chromium.page, url, services)}”`);
    } finally {
        await chromium.close();
        await agent.stop();
        crowd.stop();
    }
}
const renderer = "no graphics card: the browser draws on the CPU";
const version = readFileSync("/proc/version", "utf8").split(" ")[2];
console.log(`\n${cpus().length} CPUs (${cpus()[0].model}), Linux ${version}, headless Chromium at 1440 × 900, ${renderer}.`);
console.log(`Load average at the end: ${loadavg()[0].toFixed(2)}. The map says: ${notes.join("; ")}.`);
