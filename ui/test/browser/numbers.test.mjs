// What the pages say is what the agent said: rows and numbers of each page, against the answers about the same time.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pages, said, says } from "./kit.mjs";
import { shop } from "./shop.mjs";

let agent;
let bench;
let page;
let storefront;
/** A minute that is over: all of its windows are kept, and what is asked twice is answered alike. */
let range;
let ask;
let open;

before(async () => {
    agent = await shop();
    bench = await pages();
    page = bench.page;
    const { data } = await agent.ask("entities?text=storefront");
    storefront = data.entities.find(({ name }) => name === "storefront").id;
    const { meta } = await agent.ask("map?last=5m");
    const to = Math.floor((meta.newest_ms - 10_000) / 10_000) * 10_000;
    range = `from=${to - 30_000}&to=${to}`;
    ask = async (question) => (await agent.ask(`${question}${question.includes("?") ? "&" : "?"}${range}`)).data;
    open = (place) => bench.open(agent.url, `${place}${place.includes("?") ? "&" : "?"}${range}`);
});

after(async () => {
    await bench?.close();
    await agent?.stop();
});

const table = (caption) => page.locator(`main table:has(caption:text-is("${caption}"))`);

/** The texts of a table: an object for each row, by the titles of columns. */
async function rows(caption) {
    await table(caption).waitFor();
    return table(caption).evaluate((table) => {
        const text = (cell) => cell.innerText.replace(/\s*[↑↓]$/, "").trim();
        const titles = [...table.querySelectorAll("thead th")].map(text);
        return [...table.querySelectorAll("tbody tr")].map((row) => Object.fromEntries([...row.cells].map((cell, n) => [titles[n], text(cell)])));
    });
}

const stat = (title) => page.locator(`.stat:has(span:text-is("${title}")) b`).first().innerText();
const shown = (sides) => sides.server ?? sides.client ?? sides.network;
const books = (sides) => sides.client ?? sides.server;
const key = (edge) => `${edge.client_name} → ${edge.server_name}`;

test("services", async () => {
    const data = await ask("top?by=services&limit=300");
    await open("services");
    const all = await rows("Services");
    assert.equal(all.length, data.services.length);
    assert.ok(all.length > 8);
    for (const [n, { node, bytes }] of data.services.entries()) {
        const row = all.find(({ Service }) => Service === node.name);
        assert.ok(row, node.name);
        says(row.Requests, shown(node.answers)?.rate, `requests of ${node.name}`);
        says(row["p95 server"], node.answers.server?.duration?.p95_ns, `p95 of ${node.name}`);
        says(row["p95 client"], node.answers.client?.duration?.p95_ns, `p95 of ${node.name}`);
        says(row.Bytes.replace("/s", ""), bytes / 30, `bytes of ${node.name}`);
        if (n === 0) assert.equal(all[0].Service, node.name, "the same order");
    }
});

test("one service: overview, endpoints, dependencies, network, processes", async () => {
    const entity = await ask(`entity?id=${storefront}`);
    const { node } = entity;
    await open(`service/${storefront}`);
    says(await stat("Requests"), node.answers.server.rate, "requests");
    says(await stat("p95 client side"), node.answers.client.duration.p95_ns, "p95 client");
    says(await stat("p95 server side"), node.answers.server.duration.p95_ns, "p95 server");
    says(await stat("Errors"), node.answers.server.error_ratio, "errors");

    const series = await ask(`series?server=${storefront}&points=180`);
    await page.getByLabel("Data of Requests", { exact: true }).first().click();
    const cells = page.locator('.data .scroll[aria-label="Data of Requests"] tbody td');
    await cells.first().waitFor();
    const told = await cells.allInnerTexts();
    const line = series.series.find(({ side }) => side === "server").exchanges;
    assert.equal(told.length, line.count.length);
    for (const [n, count] of line.count.entries()) says(told[n], count / 10, `step ${n}`);

    await open(`service/${storefront}?tab=endpoints`);
    const { operations } = await ask(`top?by=operations&server=${storefront}&limit=300`);
    const endpoints = await rows("Endpoints");
    assert.equal(endpoints.length, operations.length);
    for (const { operation, signals } of operations) {
        const row = endpoints.find(({ Operation }) => Operation === operation);
        says(row.Requests, shown(signals).rate, operation);
        says(row["p95 server"], signals.server?.duration?.p95_ns, operation);
    }

    await open(`service/${storefront}?tab=dependencies`);
    for (const [caption, edges, column, name] of [
        ["Callers", entity.callers, "Client", "client_name"],
        ["Dependencies", entity.dependencies, "Server", "server_name"],
    ]) {
        const all = await rows(caption);
        assert.deepEqual(all.map((row) => row[column]).sort(), edges.map((edge) => edge[name]).sort());
        const [first] = edges;
        says(all.find((row) => row[column] === first[name]).Requests, shown(first.signals)?.rate, key(first));
    }

    await open(`service/${storefront}?tab=network`);
    const connections = await ask(`top?by=connections&entity=${storefront}&limit=200`);
    assert.equal((await rows("Connections")).length, connections.edges.length);
    const facts = await page.locator("section:has(h2:text-is('As a server')) dl").innerText();
    const opened = /opened, closed\s+(\S+), (\S+)/.exec(facts);
    says(opened[1], entity.answering.opened, "opened");
    says(opened[2], entity.answering.closed, "closed");

    await open(`service/${storefront}?tab=processes`);
    const processes = await rows("Processes");
    assert.deepEqual(
        processes.map(({ Pid }) => Number(Pid)),
        entity.processes.map(({ pid }) => pid),
    );
});

test("protocols", async () => {
    const data = await ask("series?by=protocol&points=180&limit=20");
    await open("protocols?protocol=redis");
    const names = [...new Set(data.series.map(({ name }) => name))].filter((name) => name !== "other");
    assert.equal(await page.locator('[aria-label="Protocol"] button').count(), names.length);
    const { operations } = await ask("top?by=operations&protocol=redis&sort=time&limit=200");
    const all = await rows("Operations of Redis");
    assert.deepEqual(
        all.map(({ Operation }) => Operation),
        operations.map(({ operation }) => operation),
    );
    for (const [n, { signals, share }] of operations.entries()) {
        says(all[n].Requests, shown(signals).rate, all[n].Operation);
        says(all[n]["Share of time"], share, all[n].Operation);
    }
});

test("requests: the slowest of the whole time come first, whatever there is of newer ones, and a filter finds all that match", async () => {
    const slowest = await ask("requests?sort=duration&limit=500");
    await open("requests");
    await page.getByText(`${slowest.matching} records`).waitFor();
    const all = await rows("Requests");
    const lengths = all
        .filter((row) => !row["Kept as"].includes("waits by design"))
        .map((row) => Math.max(said(row.Client) ?? 0, said(row.Server) ?? 0));
    const most = Math.max(...slowest.requests.filter(({ exchange }) => !exchange.blocking).map(({ exchange }) => exchange.duration_ns));
    assert.ok(Math.abs(lengths[0] - most) <= most * 0.06, `${all[0].Client} ${all[0].Server} of ${most}`);

    const matching = await ask("requests?text=redis&sort=duration&limit=500");
    assert.ok(matching.matching > 0 && matching.matching < slowest.matching);
    await open("requests?q=redis");
    await page.getByText(`${matching.matching} records`).waitFor();
    for (const row of await rows("Requests")) assert.match(Object.values(row).join(" "), /redis/i);

    await open(`service/${storefront}?tab=requests`);
    const own = await ask(`requests?server=${storefront}&sort=duration&limit=500`);
    await page.getByText(`${own.matching} records`).waitFor();
});

test("network", async () => {
    await open("network");
    const talkers = await ask("top?by=connections&sort=bytes&limit=200");
    const all = await rows("Talkers");
    assert.equal(all.length, talkers.edges.length);
    for (const [n, edge] of talkers.edges.slice(0, 20).entries()) {
        assert.equal(`${all[n].Client} → ${all[n].Server}`, key(edge));
        const of = books(edge.books);
        says(all[n].Bytes.replace("/s", ""), (of.bytes_to_server + of.bytes_to_client) / 30, key(edge));
        says(all[n].Open, of.open, key(edge));
    }
    // The bank never answers, and loyalty has nobody who listens.
    const failed = await ask("top?by=connections&sort=failed_connects&limit=100");
    const causes = ["refused", "connect_timed_out", "unreachable", "abandoned", "failed_otherwise"];
    const expected = failed.edges.flatMap((edge) => causes.map((cause) => books(edge.books)?.[cause] ?? 0)).filter((count) => count > 0);
    const told = await rows("Failed connects");
    assert.deepEqual(
        told.map(({ Times }) => said(Times)).sort((a, b) => a - b),
        expected.sort((a, b) => a - b),
    );
    assert.ok(told.length > 0);
    const map = await ask("map?limit=2000");
    const outside = map.nodes.filter(({ kind }) => kind === "external").map(({ name }) => name);
    assert.deepEqual((await rows("Outside this host")).map((row) => row["Name or address"]).sort(), outside.sort());
});

test("DNS", async () => {
    const data = await ask("dns?limit=200");
    await open("dns");
    says(await stat("Questions"), shown(data.signals).rate, "questions");
    says(await stat("Failed"), shown(data.signals).error_ratio, "failed");
    const questions = await rows("Questions");
    assert.equal(questions.length, data.questions.length);
    for (const { operation, signals } of data.questions)
        says(questions.find(({ Question }) => Question === operation).Asked, signals?.rate, operation);
    const codes = await page.locator(".bars li").allInnerTexts();
    assert.equal(codes.length, data.codes.length);
    for (const { code, count } of data.codes) {
        const line = codes.find((text) => text.startsWith(code));
        says(/(\d[\d\u202f]*) ·/.exec(line)[1], count, code);
    }
    assert.equal((await rows("Who asks whom")).length, data.resolvers.length);
});

test("the map's table twin has each edge", async () => {
    const map = await ask("map?limit=2000");
    await open("map?view=table");
    const all = await rows("Who talks to whom");
    assert.deepEqual(all.map((row) => `${row.Client} → ${row.Server}`).sort(), map.edges.map(key).sort());
    const counts = await page.locator(".mapcounts").innerText();
    const pairs = new Set(map.edges.map(({ client, server }) => `${client} ${server}`));
    assert.equal(Number(/(\d+)\s+edges/.exec(counts)[1]), pairs.size);
    const services = map.nodes.filter(({ kind }) => !["external", "dns"].includes(kind));
    assert.equal(Number(/(\d+)\s+services/.exec(counts)[1]), services.length);
});

test("the agent: ledger, hooks, counters", async () => {
    const before = await agent.ask("health");
    await bench.open(agent.url, "agent");
    const ledger = await rows("The ledger");
    const health = await agent.ask("health");
    assert.equal(ledger.length, Object.keys(health.exchanges).length + 1);
    const all = ledger.find((row) => row.Protocol === "all");
    const [seen, reported, lost] = ["Seen", "Reported", "Lost"].map((name) => Number(all[name].replaceAll("\u202f", "")));
    assert.equal(seen, reported + lost);
    assert.ok(
        reported >= before.ledger.reported && reported <= health.ledger.reported,
        `${before.ledger.reported} ≤ ${reported} ≤ ${health.ledger.reported}`,
    );
    assert.equal(lost, health.ledger.lost);
    assert.equal((await rows("Hooks")).length, health.hooks.length);
    assert.equal((await rows("Events and limits")).length, health.counters.length);
});
