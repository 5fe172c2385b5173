// What is live is asked again, and nobody moves: neither the cards, nor the view of whoever has moved it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { pages } from "./kit.mjs";
import { freePort, shop, until } from "./shop.mjs";

let agent;
let bench;
let page;

before(async () => {
    agent = await shop();
    bench = await pages();
    page = bench.page;
});

after(async () => {
    await bench?.close();
    await agent?.stop();
});

/** Where each card is on the screen, by name. */
const spots = () =>
    page.evaluate(() =>
        Object.fromEntries(
            [...document.querySelectorAll(".card")].map((card) => {
                const { x, y } = card.querySelector(".face").getBoundingClientRect();
                return [card.querySelector("title").textContent.split(", ")[0], `${x.toFixed(1)} ${y.toFixed(1)}`];
            }),
        ),
    );

/** The next answer about the map, drawn. */
async function refreshed() {
    await page.waitForResponse((response) => response.url().includes("/map?"), { timeout: 14_000 });
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** That everybody of `before` who is still there is where he was. */
function nobodyMoved(before, afterwards) {
    const stayed = Object.keys(before).filter((name) => name in afterwards);
    assert.ok(stayed.length > Object.keys(before).length * 0.7, `${stayed.length} of ${Object.keys(before).length} are still there`);
    for (const name of stayed) assert.equal(afterwards[name], before[name], name);
}

test("a refresh moves nothing on the screen, and a service that is new moves neither the others nor the view", async (t) => {
    await bench.open(agent.url, "map?last=5m");
    const before = await spots();
    assert.ok(Object.keys(before).length > 10);
    await refreshed();
    nobodyMoved(before, await spots());
    assert.match(await page.locator(".live").innerText(), /Live\s+\d+ s old/);

    // Somewhere else, larger.
    const box = await page.locator(".drawing").boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 90);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 - 150, box.y + box.height - 190, { steps: 4 });
    await page.mouse.up();
    await page.getByRole("button", { name: "Zoom in" }).click();
    const moved = await spots();
    assert.notDeepEqual(moved, before);

    const names = ["newcomer", "newcomers-friend", "newcomers-aunt"];
    const ports = await Promise.all(names.map(() => freePort()));
    const started = names.map((name, n) => {
        const serve = `require("http").createServer((_, answer) => answer.end("well")).listen(${ports[n]}, "127.0.0.1");`;
        const ask = `setInterval(() => require("http").get("http://127.0.0.1:${ports[(n + 1) % ports.length]}/", (told) => told.resume()).on("error", () => {}), 300);`;
        return spawn(process.execPath, ["-e", serve + ask], { stdio: "ignore", env: { PATH: process.env.PATH, OTEL_SERVICE_NAME: name } });
    });
    const end = () => started.forEach((process) => process.kill("SIGKILL"));
    process.once("exit", end);
    t.after(end);
    const all = async () => {
        const seen = await spots();
        return names.every((name) => name in seen);
    };
    await until("they are on the map", all, 60);
    const grown = await spots();
    nobodyMoved(moved, grown);
    await page.getByRole("button", { name: "Fit the whole map" }).click();
    await bench.shot("map-grown-light");
    await page.getByRole("button", { name: /^Tidy/ }).click();
    assert.ok("newcomer" in (await spots()));
});

test("what is hidden is not asked again until it is seen", async () => {
    await bench.open(agent.url, "map?last=5m");
    const hide = (hidden) =>
        page.evaluate((hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }, hidden);
    let asked = 0;
    page.on("request", () => asked++);
    await hide(true);
    await page.waitForTimeout(12_000);
    assert.equal(asked, 0);
    await hide(false);
    await until("it asks again when it is seen", async () => asked > 0, 3);
});

test("a time that is fixed is not asked again", async () => {
    const { meta } = await agent.ask("map?last=5m");
    await bench.open(agent.url, `services?from=${meta.newest_ms - 30_000}&to=${meta.newest_ms}`);
    let asked = 0;
    page.on("request", (request) => {
        asked += request.url().includes("/top?") ? 1 : 0;
    });
    await page.waitForTimeout(12_000);
    assert.equal(asked, 0);
});
