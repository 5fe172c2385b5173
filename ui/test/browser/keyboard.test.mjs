// Whoever has no mouse reaches and does everything.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pages } from "./kit.mjs";
import { shop } from "./shop.mjs";

let agent;
let bench;
let page;
let storefront;
let open;
let query;
let where;

before(async () => {
    agent = await shop();
    bench = await pages();
    ({ page, query, where } = bench);
    open = (place) => bench.open(agent.url, place);
    const { data } = await agent.ask("entities?text=storefront");
    storefront = data.entities.find(({ name }) => name === "storefront").id;
});

after(async () => {
    await bench?.close();
    await agent?.stop();
});

const press = (key) => page.keyboard.press(key);
const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent.trim());

/** A fixed time: while a live page is walked through, rows would come and go. */
async function still() {
    const { meta } = await agent.ask("map?last=5m");
    return `from=${meta.newest_ms - 60_000}&to=${meta.newest_ms}`;
}

/** Tabs through the page once; what can be used and was not reached. Each time what has the focus must be seen. */
async function unreached() {
    const count = await page.evaluate(() => {
        // Whatever can be reached has a place in the order, also where nobody wrote one down: links, fields, summaries.
        const all = [...document.querySelectorAll("*")].filter(
            (element) => element.tabIndex >= 0 && !element.disabled && element.checkVisibility() && !element.closest("dialog:not([open])"),
        );
        all.forEach((element, n) => (element.dataset.walk = String(n)));
        document.activeElement?.blur();
        return all.length;
    });
    assert.ok(count > 15, `${count} things to use`);
    const reached = new Set();
    for (let n = 0; n < count + 30; n++) {
        await press("Tab");
        const at = await page.evaluate(() => {
            const element = document.activeElement;
            if (element === document.body) return null;
            const { outlineStyle } = getComputedStyle(element);
            const face = element.querySelector(".face");
            const marked = outlineStyle !== "none" || element.matches("input") || (face && getComputedStyle(face).strokeWidth === "2.5px");
            const { right, bottom, left, top } = element.getBoundingClientRect();
            const inside = right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
            return {
                walk: element.dataset.walk,
                fault: marked && inside ? "" : `${element.outerHTML.slice(0, 120)} ${marked ? "is out of sight" : "is not marked"}`,
            };
        });
        if (at === null) break;
        assert.equal(at.fault, "");
        if (at.walk !== undefined) reached.add(Number(at.walk));
    }
    return page.evaluate(
        (reached) =>
            [...document.querySelectorAll("[data-walk]")]
                .filter(({ dataset }) => !reached.includes(Number(dataset.walk)))
                .map(({ outerHTML }) => outerHTML.slice(0, 120)),
        [...reached],
    );
}

for (const place of ["map", "services", "service", "requests", "network", "agent"]) {
    test(`Tab reaches everything that can be used, and shows where it is: ${place}`, async () => {
        await open(`${place === "service" ? `service/${storefront}` : place}?${await still()}`);
        assert.deepEqual(await unreached(), []);
    });
}

test("skip, cards, tabs, keys for pages", async () => {
    await open("map?last=5m&q=cart");
    await press("Tab");
    assert.equal(await focused(), "Skip to the page");
    await press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    const onCart = () => page.evaluate(() => document.activeElement.matches(".card") && document.activeElement.textContent.startsWith("cart,"));
    for (let n = 0; n < 60 && !(await onCart()); n++) await press("Tab");
    assert.ok(await onCart());
    await press("Enter");
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
        await press("g");
        await press(key);
        assert.equal(where(), hash);
        assert.equal(query().get("last"), "5m");
    }
    await open(`service/${storefront}?last=5m`);
    await page.getByRole("tab", { name: "Overview" }).focus();
    await press("ArrowRight");
    await page.getByRole("heading", { name: "Endpoints" }).waitFor();
    assert.equal(query().get("tab"), "endpoints");
});

test("the map moves and zooms by keys", async () => {
    await open("map?last=5m");
    const at = () =>
        page.evaluate(() => {
            const { x, y, width } = document.querySelector(".card .face").getBoundingClientRect();
            return [x, y, width].map((length) => length.toFixed(0)).join(" ");
        });
    await page.locator(".surface").focus();
    const [first, ...others] = [await at()];
    for (const key of ["ArrowLeft", "ArrowUp", "+", "-", "ArrowDown"]) {
        await press(key);
        others.push(await at());
    }
    // Zooming out takes zooming in back, and the last one is where the first one was.
    assert.equal(new Set([first, ...others]).size, 4, others.join(" "));
    await press("0");
    assert.equal(await at(), first);
    await page.getByRole("button", { name: "Zoom out" }).focus();
    await press("Enter");
    assert.notEqual(await at(), first);
    await page.getByRole("button", { name: "L4 bytes" }).focus();
    await press("Space");
    // The address follows what is drawn.
    await page.waitForURL(/layer=l4/);
});

test("tables are sorted, requests opened, the data of charts read by keys", async () => {
    await open(`services?${await still()}`);
    await page.getByRole("button", { name: "Service", exact: true }).focus();
    await press("Enter");
    assert.equal(query().get("sort"), "name");
    await page.waitForFunction(() => document.querySelector("th[aria-sort=ascending]")?.textContent.startsWith("Service"));
    await press("Enter");
    await page.waitForFunction(() => document.querySelector("th[aria-sort=descending]")?.textContent.startsWith("Service"));
    await open(`requests?${await still()}`);
    await page.locator("tbody button").first().focus();
    await press("Enter");
    await page.getByRole("complementary", { name: "One request" }).waitFor();
    await press("Escape");
    await page.getByRole("complementary", { name: "One request" }).waitFor({ state: "detached" });
    await open(`network?${await still()}`);
    await page.getByLabel("Data of Bytes").focus();
    await press("Enter");
    await page.getByRole("region", { name: "Data of Bytes" }).locator("tbody tr").first().waitFor();
});

test("the menu of ranges is opened, used and left by keys, and Escape closes it alone", async () => {
    await open(`map?last=5m&sel=${storefront}`);
    await page.locator(".panel h2").waitFor();
    const menu = page.getByRole("group", { name: "Range", exact: true });
    const button = page.getByRole("button", { name: /Last 5 min/ });
    await button.focus();
    await press("Enter");
    await menu.waitFor();
    await press("Escape");
    await menu.waitFor({ state: "detached" });
    assert.equal(await page.locator(".panel").count(), 1, "the panel stays");
    assert.match(await focused(), /Last 5 min/);
    await press("Escape");
    await page.locator(".panel").waitFor({ state: "detached" });
    await button.focus();
    await press("Enter");
    await press("Tab");
    await press("Tab");
    await press("Enter");
    assert.equal(query().get("last"), "15m");
});

test("keys: filter, help, theme, live, earlier and later", async () => {
    await open("services?last=5m&theme=light");
    await press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "filter");
    await page.keyboard.type("storefront");
    await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
    assert.equal(query().get("q"), "storefront");
    await press("Escape");
    await press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await press("Escape");
    await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "hidden" });
    await press("t");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    assert.equal(query().get("theme"), "dark");
    await press("l");
    const [from, to] = ["from", "to"].map((name) => Number(query().get(name)));
    assert.ok(to - from >= 300_000 && to - from <= 302_000 && Math.abs(Date.now() - to) < 5000);
    await press("[");
    assert.ok(Math.abs(Number(query().get("to")) - (to - (to - from) / 2)) <= 1000);
    await press("]");
    assert.ok(Math.abs(Number(query().get("to")) - to) <= 2000);
    await press("l");
    assert.equal(query().get("last"), "5m");
});
