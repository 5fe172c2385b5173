// How fast the page is: first paint, and how evenly a large map pans. Nothing is asserted: times are the machine's.
//
//     node ui/test/browser/bench.mjs [SERVICES]     root; so many real services, 150 if nothing is said
//     STETH_AGENT=PATH                              the agent's program; default target/release/steth

import { browser } from "./chromium.mjs";
import { many } from "./many.mjs";
import { agentOnly, freePort, until } from "./shop.mjs";

const services = Number(process.argv[2] ?? 150);
const crowd = await many(services, await freePort(services));
const agent = await agentOnly();
const { url } = agent;
const chromium = await browser();
try {
    await until(
        "all services are seen",
        async () => {
            const { data } = await agent.ask("entities?text=service-&limit=1000");
            return data.total >= services;
        },
        120,
    );
    const { page } = chromium;
    const paints = [];
    for (let n = 0; n < 5; n++) {
        await page.goto("about:blank");
        await page.goto(`${url}#/map?last=5m&q=service-`);
        await page.locator(".card").first().waitFor();
        paints.push(await page.evaluate(() => [performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN, performance.now()]));
    }
    const cards = await page.locator(".card").count();
    const lines = await page.locator("path.line").count();
    const box = await page.locator(".drawing").boundingBox();
    const frames = page.evaluate(
        () =>
            new Promise((done) => {
                const times = [];
                let before = performance.now();
                const end = before + 3000;
                const next = (now) => {
                    times.push(now - before);
                    before = now;
                    if (now < end) requestAnimationFrame(next);
                    else done(times.slice(1));
                };
                requestAnimationFrame(next);
            }),
    );
    await page.mouse.move(box.x + box.width - 40, box.y + 120);
    await page.mouse.down();
    const end = Date.now() + 3000;
    for (let n = 0; Date.now() < end; n++)
        await page.mouse.move(box.x + box.width - 40 - 200 * Math.abs(Math.sin(n / 30)), box.y + 120 + 100 * Math.sin(n / 20));
    await page.mouse.up();
    const times = (await frames).sort((a, b) => a - b);
    const at = (share) => times[Math.floor(times.length * share)].toFixed(1);
    const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)].toFixed(0);
    console.log(
        `first paint ${median(paints.map(([first]) => first))} ms, the map's first card ${median(paints.map(([, map]) => map))} ms (medians of 5)`,
    );
    console.log(
        `${cards} cards, ${lines} lines: ${(times.length / (times.reduce((sum, time) => sum + time, 0) / 1000)).toFixed(0)} frames/s while dragging; a frame p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms`,
    );
} finally {
    await chromium.close();
    await agent.stop();
    await crowd.stop();
}
