// Every page, in a real browser, on what a running agent has observed of real services.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pages } from "./kit.mjs";
import { proxy } from "./proxy.mjs";
import { shop, until } from "./shop.mjs";

let agent;
let bench;
let page;
let storefront;
let payments;
let open;
let query;
let where;
let settled;

before(async () => {
    agent = await shop();
    bench = await pages();
    ({ page, query, where, settled } = bench);
    open = (place) => bench.open(agent.url, place);
    const id = async (wanted) => (await agent.ask(`entities?text=${wanted}`)).data.entities.find(({ name }) => name === wanted).id;
    [storefront, payments] = await Promise.all([id("storefront"), id("payments")]);
});

after(async () => {
    await bench?.close();
    await agent?.stop();
});

const places = () => ({
    map: "map",
    "map-l4": "map?layer=l4",
    "map-focus": `map?sel=${storefront}`,
    "map-focus-payments": `map?sel=${payments}`,
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
                assert.equal(await page.locator("main .empty").count(), 0, await page.locator("main").innerText());
                await bench.shot(`${name}-${theme}`);
                await bench.axe();
                assert.deepEqual(await bench.faint(), [], "texts of cards");
                assert.deepEqual(bench.complaints(), []);
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
    await page.waitForFunction(() => {
        const said = [...document.querySelectorAll(".legend .at")].map((at) => at.textContent);
        return (
            said.length > 2 && said.every((text) => text === said[0] && !text.startsWith("last")) && document.querySelector(".heat .hair") !== null
        );
    });
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

test("both ends of a request are one row, with what TCP said then, and its literals are gone", async () => {
    const both = async () => {
        const { data } = await agent.ask("requests?last=5m&text=mariadbd&sort=duration&limit=500");
        const keys = data.requests.map(({ exchange: { client, request_seq } }) => `${client.ip}:${client.port} ${request_seq}`);
        return keys.some((key, n) => keys.indexOf(key) !== n) && data;
    };
    const data = await until("both records of one were kept", both, 60);
    await open("requests?last=5m&q=mariadbd");
    const rows = await page.locator('table:has(caption:text-is("Requests")) tbody tr').all();
    const texts = await Promise.all(rows.map((row) => row.locator("td").allInnerTexts()));
    assert.ok(rows.length < data.matching, `${rows.length} rows of ${data.matching} records`);
    const n = texts.findIndex((cells) => cells[4] !== "–" && cells[5] !== "–");
    assert.ok(n >= 0, "a row with the times of both sides");
    await rows[n].locator("button").first().click();
    const detail = page.getByRole("complementary", { name: "One request" });
    for (const side of ["client", "server"]) await detail.getByRole("heading", { name: `At the ${side}` }).waitFor();
    for (const words of ["arrived in the server's socket", "first byte of the request", "last byte of the response"]) {
        assert.equal(await detail.getByText(words).count(), 2, words);
    }
    const tcp = await detail.getByLabel("TCP, about then").first().innerText();
    assert.match(tcp, /rtt/i);
    // What was asked for are products by number, and words: nothing of that is in the text of a statement.
    const asked = await detail.getByLabel("What was asked").first().innerText();
    const text = /db\.query\.text\s+(.*)/.exec(asked)?.[1];
    assert.ok(text?.includes("?") && !/['"]|= ?\d/.test(text), asked);
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

test("what an agent that is younger than the range cannot know is told, and is no warning", async () => {
    await open("services?last=6h");
    await page.locator(".since", { hasText: /since \d\d:\d\d/ }).waitFor();
    // On a busy machine a request may come too late for its window, which is a warning of its own.
    const said = (await page.locator(".banner").allInnerTexts()).flatMap((text) => text.split("\n"));
    assert.deepEqual(
        said.filter((line) => !line.includes("came too late")),
        [],
    );
});

test("works below the prefix of a reverse proxy", async (t) => {
    const before = await proxy(agent.url);
    t.after(() => before.stop());
    for (const place of ["services?last=5m", "map?last=5m", "agent"]) {
        await bench.open(before.url, place);
        await page.locator("tbody tr, .card").first().waitFor();
        assert.deepEqual(bench.complaints(), []);
    }
});
