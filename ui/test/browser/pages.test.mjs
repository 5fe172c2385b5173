// Every page, in a real browser, on what a running agent has observed of real services.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { browser } from "./chromium.mjs";
import { proxy } from "./proxy.mjs";
import { shop, until } from "./shop.mjs";

const SHOTS = fileURLToPath(new URL("../../../target/ui-screenshots/", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let agent;
let chromium;
let page;
/** What the browser complained of: errors of scripts, and what the content security policy has refused. */
let complaints = [];
let storefront;

before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    agent = await shop();
    chromium = await browser();
    page = chromium.page;
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    const { data } = await agent.ask("entities?text=storefront");
    storefront = data.entities.find(({ name }) => name === "storefront").id;
});

after(async () => {
    await chromium?.close();
    await agent?.stop();
});

async function open(place) {
    // Nothing of the place before stays.
    await page.goto("about:blank");
    complaints = [];
    await page.goto(`${agent.url}#/${place}`);
    await page.locator("main h1").first().waitFor();
    await page.waitForFunction(() => document.querySelector("main .waiting") === null);
}

const query = () => new URLSearchParams(new URL(page.url()).hash.split("?")[1] ?? "");
const where = () => new URL(page.url()).hash.split("?")[0];
const settled = () => page.waitForFunction(() => document.querySelector("main .waiting") === null);

const places = () => ({
    map: "map",
    "map-l4": "map?layer=l4",
    "map-focus": `map?sel=${storefront}`,
    "map-table": "map?view=table",
    services: "services",
    service: `service/${storefront}`,
    ...Object.fromEntries(
        ["endpoints", "dependencies", "network", "requests", "processes"].map((tab) => [`service-${tab}`, `service/${storefront}?tab=${tab}`]),
    ),
    protocols: "protocols?protocol=http",
    requests: "requests",
    network: "network",
    dns: "dns",
    agent: "agent",
});

for (const theme of ["light", "dark"]) {
    test(`every page shows what was observed, and axe finds nothing serious, ${theme}`, async (t) => {
        for (const [name, place] of Object.entries(places())) {
            await t.test(name, async () => {
                await open(`${place}${place.includes("?") ? "&" : "?"}theme=${theme}&last=5m`);
                await page.waitForLoadState("networkidle");
                assert.equal(await page.locator("main .empty").count(), 0, await page.locator("main").innerText());
                await page.screenshot({ path: `${SHOTS}${name}-${theme}.png` });
                await page.evaluate(`${AXE};0`).catch(() => {});
                const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
                const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
                assert.deepEqual(
                    serious.map(
                        ({ id, nodes }) =>
                            `${id}: ${nodes
                                .slice(0, 3)
                                .map(({ html, failureSummary }) => `${html} ${failureSummary}`)
                                .join("\n")}`,
                    ),
                    [],
                );
                assert.deepEqual(complaints, []);
            });
        }
    });
}

test("the map has a card for each service of the shop and a line for each pair that speaks more than DNS", async () => {
    const [answer] = await Promise.all([page.waitForResponse((response) => response.url().includes("/map?")), open("map?last=5m")]);
    const { data } = await answer.json();
    const cards = await page.locator(".card .name").allTextContents();
    for (const name of ["storefront", "cart", "orders", "payments", "nginx", "redis-server", "mariadbd"]) {
        assert.ok(
            cards.some((card) => card.startsWith(name.slice(0, 6))),
            `${name} of ${cards}`,
        );
    }
    const pair = ({ client, server }) => `${client} ${server}`;
    const drawn = new Set(data.edges.filter((edge) => edge.client !== edge.server && edge.protocol !== "dns").map(pair));
    assert.equal(await page.locator("path.line").count(), drawn.size);
    assert.equal(cards.length, data.nodes.length);
});

test("choosing a card opens its panel, dims who is far, and stands in the URL; Escape closes it", async () => {
    await open("map?last=5m");
    await page.locator('.card:has(.name:text-is("storefront"))').click();
    await page.locator(".panel h2", { hasText: "storefront" }).waitFor();
    assert.equal(query().get("sel"), storefront);
    assert.ok((await page.locator(".card.far").count()) > 0);
    assert.ok((await page.locator(".card .relation").count()) > 2);
    await page.locator(".panel canvas").nth(1).waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".panel").waitFor({ state: "detached" });
    assert.equal(query().get("sel"), null);
    await page.goBack();
    await page.locator(".panel h2", { hasText: "storefront" }).waitFor();
});

test("the keyboard reaches everything: skip, cards, tabs, keys for pages", async () => {
    await open("map?last=5m");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.locator('.card:has(.name:text-is("cart"))').focus();
    await page.keyboard.press("Enter");
    await page.locator(".panel h2", { hasText: "cart" }).waitFor();
    for (const [key, hash] of [
        ["s", "#/services"],
        ["p", "#/protocols"],
        ["r", "#/requests"],
        ["n", "#/network"],
        ["d", "#/dns"],
        ["a", "#/agent"],
        ["m", "#/map"],
    ]) {
        await page.keyboard.press("g");
        await page.keyboard.press(key);
        assert.equal(where(), hash);
        assert.equal(query().get("last"), "5m");
    }
    await open(`service/${storefront}?last=5m`);
    await page.getByRole("tab", { name: "Overview" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.getByRole("heading", { name: "Endpoints" }).waitFor();
    assert.equal(query().get("tab"), "endpoints");
});

test("keys: filter, help, theme, live, earlier and later", async () => {
    await open("services?last=5m&theme=light");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "filter");
    await page.keyboard.type("storefront");
    await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
    assert.equal(query().get("q"), "storefront");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
    await page.keyboard.press("t");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    assert.equal(query().get("theme"), "dark");
    await page.keyboard.press("l");
    const [from, to] = ["from", "to"].map((name) => Number(query().get(name)));
    assert.ok(to - from >= 300_000 && to - from <= 302_000 && Math.abs(Date.now() - to) < 5000);
    await page.keyboard.press("[");
    assert.ok(Math.abs(Number(query().get("to")) - (to - (to - from) / 2)) <= 1000);
    await page.keyboard.press("]");
    assert.ok(Math.abs(Number(query().get("to")) - to) <= 2000);
    await page.keyboard.press("l");
    assert.equal(query().get("last"), "5m");
});

test("what is in the URL is what is shown, and Back goes back", async () => {
    await open("services?last=5m&sort=name&asc=1&q=re");
    const names = await page.locator("tbody td:nth-child(2)").allInnerTexts();
    assert.ok(names.length > 1 && names.every((name) => name.includes("re")), String(names));
    assert.deepEqual(names, [...names].sort());
    assert.equal(await page.locator("#filter").inputValue(), "re");
    await page.getByRole("button", { name: "Requests" }).click();
    assert.equal(query().get("sort"), null);
    await page.goBack();
    assert.equal(query().get("sort"), "name");
    await page.waitForFunction(() => document.querySelector("th[aria-sort=ascending]")?.textContent.startsWith("Service"));
});

test("dragging over a chart sets the range", async () => {
    await open(`service/${storefront}?last=5m`);
    const plot = page.locator(".chart .u-over").first();
    await plot.waitFor();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 30, { steps: 5 });
    await page.mouse.up();
    await page.waitForFunction(() => location.hash.includes("from="));
    const [from, to] = ["from", "to"].map((name) => Number(query().get(name)));
    assert.ok(to - from > 90_000 && to - from < 150_000, `${to - from} ms`);
    assert.equal(query().get("last"), null);
    await page.locator(".live", { hasText: "Fixed" }).waitFor();
});

test("one cursor runs over all charts", async () => {
    await open(`service/${storefront}?last=5m`);
    const plot = page.locator(".chart .u-over").first();
    await plot.waitFor();
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 20, { steps: 3 });
    await page.waitForFunction(() => document.querySelectorAll(".legend .at").length > 2 && document.querySelector(".heat .hair") !== null);
});

test("a box on a heatmap opens the requests of that time and duration", async () => {
    await open(`service/${storefront}?last=5m`);
    const heat = page.locator(".heat .plot").last();
    await heat.scrollIntoViewIfNeeded();
    await page.waitForLoadState("networkidle");
    const box = await heat.boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 10);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.98, box.y + box.height - 26, { steps: 5 });
    await page.mouse.up();
    await page.waitForFunction(() => location.hash.startsWith("#/requests"));
    const [min, max] = ["min_ms", "max_ms"].map((name) => Number(query().get(name)));
    assert.ok(min > 0 && max > min && query().get("from") !== null && query().get("service") === "storefront");
    await settled();
    await page.locator(".went").first().waitFor();
    const { data } = await agent.ask(`requests?${new URLSearchParams([...query()].filter(([name]) => !["theme"].includes(name)))}&limit=500`);
    assert.ok(data.requests.length > 0);
    for (const { exchange } of data.requests) assert.ok(exchange.duration_ns >= min * 1e6 * 0.99 && exchange.duration_ns < max * 1e6 * 1.01);
});

test("a request opens with all its instants, and is copied as JSON", async () => {
    await open("requests?last=5m&failed=true");
    await page.locator("tbody tr button").first().click();
    const detail = page.getByRole("complementary", { name: "One request" });
    await detail.getByText("first byte of the request").first().waitFor();
    assert.ok(query().get("req"));
    await detail.getByRole("button", { name: "Copy as JSON" }).click();
    await detail.getByText("copied").waitFor();
    const [record] = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    assert.equal(record.exchange.error, true);
    assert.ok("instants" in record);
});

test("a copied link freezes the live range", async () => {
    await open("services?last=5m&sort=name");
    await page.getByRole("button", { name: "Copy a link" }).click();
    await page.getByText("Copied").waitFor();
    const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    const copied = new URLSearchParams(link.hash.split("?")[1]);
    assert.equal(copied.get("last"), null);
    assert.equal(copied.get("sort"), "name");
    assert.ok(Number(copied.get("to")) - Number(copied.get("from")) >= 300_000);
});

test("what is live is asked again every ten seconds, without anything moving; what is hidden or fixed is not", async () => {
    await open("map?last=5m");
    const spots = () =>
        page.evaluate(() =>
            Object.fromEntries(
                [...document.querySelectorAll(".card")].map((card) => [card.querySelector(".name").textContent, card.getAttribute("transform")]),
            ),
        );
    const before = await spots();
    await page.waitForRequest((request) => request.url().includes("/map?"), { timeout: 14_000 });
    await page.waitForLoadState("networkidle");
    const afterwards = await spots();
    for (const [name, spot] of Object.entries(before)) assert.equal(afterwards[name] ?? spot, spot, name);
    assert.match(await page.locator(".live").innerText(), /Live\s+\d+ s old/);

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

test("a filter that matches nothing says so and is taken away by a click", async () => {
    for (const place of ["map", "services", "requests"]) {
        await open(`${place}?last=5m&q=nobody-has-this-name`);
        await page.locator("main .empty").waitFor();
        await page.getByRole("button", { name: "Clear the filter" }).click();
        await page.locator("main .empty").waitFor({ state: "detached" });
        assert.equal(query().get("q"), null);
    }
});

test("a time without traffic says so", async () => {
    await open("services?from=1000000000000&to=1000000600000");
    await page.getByText("No services in this range").waitFor();
    await page.getByRole("button", { name: "Go live" }).click();
    await page.locator("tbody tr").first().waitFor();
});

test("a service that is not known says so", async () => {
    await page.goto("about:blank");
    await page.goto(`${agent.url}#/service/00000000000000ff?last=5m`);
    await page.getByRole("heading", { name: "Not known" }).waitFor();
});

test("an answer that is not complete says what is missing", async () => {
    await open("services?last=6h");
    await page.locator(".banner", { hasText: "Nothing is known of" }).waitFor();
});

test("works below the prefix of a reverse proxy, and says when the agent has gone", async (t) => {
    const before = await proxy(agent.url);
    t.after(() => before.stop());
    await page.goto("about:blank");
    await page.goto(`${before.url}#/services?last=5m`);
    await page.locator("tbody tr").first().waitFor();
    before.cut(true);
    await page.locator(".banner", { hasText: "nobody answers" }).waitFor({ timeout: 15_000 });
    assert.ok((await page.locator("tbody tr").count()) > 0, "what was shown stays");
    await page.locator(".live", { hasText: "No answer" }).waitFor();
    before.cut(false);
    await page.locator(".live", { hasText: "Live" }).waitFor({ timeout: 15_000 });
});

test("the agent's page has the ledger, and it balances with what the agent says", async () => {
    await open("agent");
    const health = await agent.ask("health");
    const rows = await page.locator('[aria-label="The ledger"] tbody tr').allInnerTexts();
    assert.equal(rows.length, Object.keys(health.exchanges).length + 1);
    for (const hook of health.hooks) assert.ok((await page.locator('[aria-label="Hooks"]').innerText()).includes(hook.name));
});
