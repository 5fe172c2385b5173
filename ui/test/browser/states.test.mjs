// What stands where there is nothing to show, or where not all is well: why, and what to do. And that axe finds nothing serious in any of it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pages } from "./kit.mjs";
import { proxy } from "./proxy.mjs";
import { agentOnly, shop, until } from "./shop.mjs";

let agent;
let bench;
let page;
let told;
let open;

before(async () => {
    agent = await shop();
    bench = await pages();
    page = bench.page;
    told = await proxy(agent.url);
    open = (place) => bench.open(told.url, place);
});

after(async () => {
    await bench?.close();
    told?.stop();
    await agent?.stop();
});

/** In both themes: a picture of it, and what axe says. */
async function looked(name) {
    for (const theme of ["light", "dark"]) {
        const hash = new URL(page.url()).hash;
        await page.evaluate((theme) => (document.documentElement.dataset.theme = theme), theme);
        assert.equal(new URL(page.url()).hash, hash);
        await bench.shot(`${name}-${theme}`);
        await bench.axe();
        assert.deepEqual(await bench.faint(), []);
    }
}

const nothing = (answer) => ({ ...answer, data: { nodes_total: 0, nodes: [], edges_total: 0, edges: [] } });

test("no traffic yet: what makes some", async (t) => {
    // It observes nobody, whatever else happens on this machine.
    const blind = await agentOnly({ configuration: 'selection:\n  executable: {include: ["^/nobody$"]}\n' });
    t.after(() => blind.stop());
    for (const place of ["map", "services", "requests", "dns"]) {
        await bench.open(blind.url, place);
        await page.getByRole("heading", { name: /^No .* in this range$/ }).waitFor();
        await page.getByText("Nothing has talked yet").waitFor();
        await page.getByText("curl http://localhost/").waitFor();
        await looked(`empty-${place}`);
    }
});

test("a capability is missing: the exact command", async () => {
    told.tell("map", nothing);
    const hooks = (note) => (health) => ({
        ...health,
        status: "hooks missing",
        hooks: [{ name: "sock_send_length", attached: false, note }, ...health.hooks.slice(1)],
    });
    told.tell("health", hooks("Operation not permitted: CAP_PERFMON is missing"));
    await open("map");
    await page.getByText("CAP_PERFMON is missing").waitFor();
    await page.getByText('sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep "$(command -v steth)"').waitFor();
    await looked("empty-capability");
    await open("agent");
    await page.getByText("sudo setcap cap_bpf").waitFor();
    told.tell("health", hooks("this kernel has no such tracepoint"));
    await open("map");
    await page.getByText("sudo steth doctor").waitFor();
    told.tell("map");
    told.tell("health");
});

test("the store cannot be read: why, and where to look; and what an agent that is busy says", async () => {
    told.tell("map", () => ({ status: 503, text: "the store cannot be read: No space left on device" }));
    await open("map");
    await page.getByRole("heading", { name: "The store does not answer" }).waitFor();
    await page.getByText("No space left on device").waitFor();
    await page.getByText("df -h").waitFor();
    await looked("store-unreachable");
    told.tell("map", () => ({ status: 503, text: "too many questions at once" }));
    await open("map");
    await page.getByRole("heading", { name: "The agent is busy" }).waitFor();
    told.tell("map");
    await page.locator(".card").first().waitFor({ timeout: 15_000 });
});

test("windows that cannot be written: every page says so, and the agent's says why", async () => {
    told.tell("health", (health) => ({ ...health, status: "store in trouble", store_trouble: "No space left on device; tried again in 30 s." }));
    await open("services?last=5m");
    await page.getByRole("link", { name: "store in trouble" }).click();
    await page.getByText("No space left on device").waitFor();
    await looked("store-trouble");
    told.tell("health");
});

test("TLS, seen and not decoded: bytes are shown, and why there is no request", async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "steth-tls-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const [key, certificate] = ["key", "certificate"].map((name) => join(directory, name));
    execFileSync(
        "openssl",
        [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=vault",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        { stdio: "ignore" },
    );
    const script = `
        const [tls, fs] = [require("node:tls"), require("node:fs")];
        const [key, cert] = ["key", "certificate"].map((name) => fs.readFileSync("${directory}/" + name));
        tls.createServer({ key, cert }, (socket) => socket.on("error", () => {}).pipe(socket)).listen(8443, process.argv[1]);`;
    // An address of loopback that is this test's alone, since the port is what TLS is known by.
    const address = `127.88.${1 + (process.pid % 250)}.${1 + Math.floor(Math.random() * 250)}`;
    const start = (name, script) => {
        const process_ = spawn(process.execPath, ["-e", script, address], {
            stdio: "ignore",
            env: { PATH: process.env.PATH, OTEL_SERVICE_NAME: name },
        });
        const end = () => process_.kill("SIGKILL");
        process.once("exit", end);
        t.after(end);
    };
    start("vault", script);
    start(
        "vaults-client",
        `const tls = require("node:tls");
        setInterval(() => { const socket = tls.connect({ host: process.argv[1], port: 8443, rejectUnauthorized: false }, () => socket.end("what is said in secret\\n".repeat(100))); socket.on("error", () => {}); socket.resume(); }, 300);`,
    );
    assert.ok(readFileSync(certificate).length > 0);
    const vault = await until(
        "it is seen",
        async () => {
            const { data } = await agent.ask("map?last=5m&limit=2000");
            const edge = data.edges.find(({ client_name, port }) => client_name === "vaults-client" && port === 8443);
            return edge?.server;
        },
        60,
    );
    await open(`service/${vault}?last=5m`);
    await page.getByRole("heading", { name: "Bytes, but no request that could be read" }).waitFor();
    await page.getByText("By custom, port 8443 carries TLS").waitFor();
    await looked("tls");
    await page.getByRole("button", { name: "Network (L4)" }).click();
    await page.getByRole("heading", { name: "As a server" }).waitFor();
    await open("map?last=5m&view=table&q=vault");
    await page.getByText("TLS, not read").first().waitFor();
    await open("map?last=5m&q=vault");
    assert.ok((await page.locator("path.line.unread").count()) > 0);
});

test("a filter that matches nothing says so and is taken away by a click", async () => {
    for (const place of ["map", "services", "requests", "protocols", "dns"]) {
        await open(`${place}?last=5m&q=nobody-has-this-name`);
        await page.locator("main .empty").first().waitFor();
        if (place === "map") await looked("empty-filter");
        await page.getByRole("button", { name: "Clear the filter" }).first().click();
        await page.locator("main .empty").waitFor({ state: "detached" });
        assert.equal(bench.query().get("q"), null);
    }
});

test("a time without traffic, a service that is not known", async () => {
    await open("services?from=1000000000000&to=1000000600000");
    await page.getByText("No services in this range").waitFor();
    await looked("empty-range");
    await page.getByRole("button", { name: "Go live" }).click();
    await page.locator("tbody tr").first().waitFor();
    await page.goto("about:blank");
    await page.goto(`${told.url}#/service/00000000000000ff?last=5m`);
    await page.getByRole("heading", { name: "Not known" }).waitFor();
    await looked("empty-service");
});

test("nobody answers", async () => {
    await open("services?last=5m");
    told.cut(true);
    await page.locator(".banner", { hasText: "nobody answers" }).waitFor({ timeout: 15_000 });
    assert.ok((await page.locator("tbody tr").count()) > 0, "what was shown stays");
    await page.locator(".live", { hasText: "No answer" }).waitFor();
    await looked("no-answer");
    told.cut(false);
    await page.locator(".live", { hasText: "Live" }).waitFor({ timeout: 15_000 });
});

test("what opens: a request, the ranges, the keys, the data of a chart", async () => {
    await open("requests?last=5m");
    await page.locator("tbody button").first().click();
    await page.getByRole("complementary", { name: "One request" }).waitFor();
    await looked("request");
    await page.getByRole("button", { name: /Last 5 min/ }).click();
    await page.getByRole("group", { name: "Range", exact: true }).waitFor();
    await looked("ranges");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await looked("keys");
    await page.keyboard.press("Escape");
    await open("network?last=5m");
    await page.getByLabel("Data of Bytes").click();
    await looked("chart-data");
});

/** A map as large as that, made of the agent's own: as many copies of it as that takes, in so many namespaces. */
function large(cards, spaces) {
    return (answer) => {
        const { nodes, edges } = answer.data;
        const all = { nodes: [], edges: [] };
        const id = (id, n) => (n === 0 ? id : `${n.toString(16).padStart(4, "0")}${id.slice(4)}`);
        for (let n = 0; all.nodes.length < cards; n++) {
            const namespace = spaces > 0 ? `space-${n % spaces}` : "";
            all.nodes.push(...nodes.map((node) => ({ ...node, id: id(node.id, n), name: n === 0 ? node.name : `${node.name}-${n}`, namespace })));
            all.edges.push(...edges.map((edge) => ({ ...edge, client: id(edge.client, n), server: id(edge.server, n) })));
        }
        return { ...answer, data: { nodes_total: all.nodes.length, edges_total: all.edges.length, ...all } };
    };
}

test("500 services are folded, which is told, and unfolded by a click: by namespace, or what is not busy by its kind", async () => {
    told.tell("map", large(500, 6));
    await open("map?last=5m");
    assert.equal(await page.locator(".card").count(), 6);
    const counts = () => page.locator(".mapcounts").innerText();
    assert.match(await counts(), /showing 6 of 5\d\d, [\d.k]+ edges folded/);
    await looked("map-folded");
    await page.locator(".card").first().click();
    await page.waitForFunction(() => document.querySelectorAll(".card").length > 50);
    await looked("map-folded-opened");
    await page.getByRole("button", { name: "unfold all" }).click();
    await page.waitForFunction(() => document.querySelectorAll(".card").length >= 500);
    await bench.shot("map-unfolded-light");
    await page.getByRole("button", { name: "fold", exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll(".card").length === 6);

    told.tell("map", large(500, 0));
    await open("map?last=5m");
    const cards = await page.locator(".card").count();
    assert.ok(cards > 100 && cards <= 150, `${cards} cards`);
    assert.match(await counts(), /showing \d+ of 5\d\d/);
    await looked("map-folded-by-kind");
    told.tell("map");
});

test("the namespace that is chosen goes with every question of every page that shows the chooser", async () => {
    told.tell("entities", (answer) => {
        const [first] = answer.data.entities;
        return { ...answer, data: { ...answer.data, entities: [{ ...first, namespace: "shop" }] } };
    });
    const asked = [];
    const note = (request) => asked.push(request.url().split("/api/v1/")[1]);
    page.on("request", note);
    for (const place of ["map", "services", "protocols", "requests", "network", "dns"]) {
        await open(`${place}?last=5m`);
        asked.length = 0;
        await page.getByLabel("Namespace").selectOption("shop");
        const questions = () => asked.filter((question) => question && !/^(health|entities)/.test(question));
        await until("they are asked", async () => questions().length > 0);
        // What is asked once there is an answer: parts of the page.
        await bench.settled();
        await page.waitForTimeout(500);
        for (const question of questions()) assert.match(question, /[?&]namespace=shop(&|$)/, `${place}: ${question}`);
    }
    page.off("request", note);
    for (const place of ["agent"]) {
        await open(`${place}?ns=shop`);
        assert.equal(await page.getByLabel("Namespace").count(), 0);
    }
    told.tell("entities");
});

test("a narrow screen: nothing is out of reach, on any page", async (t) => {
    const narrow = await pages({ width: 640, height: 800 });
    t.after(() => narrow.close());
    for (const place of ["map", "services", "protocols", "requests", "network", "dns", "agent"]) {
        await narrow.open(told.url, `${place}?last=5m`);
        const wide = await narrow.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${place}: ${wide} pixels beyond the screen`);
        const out = await narrow.page.evaluate(() =>
            [...document.querySelectorAll(".topbar button, .topbar input, .nav a")]
                .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
                .map(({ outerHTML }) => outerHTML.slice(0, 100)),
        );
        assert.deepEqual(out, [], place);
        await narrow.shot(`narrow-${place}-light`);
        await narrow.axe();
    }
});

test("nothing moves by itself, whether less motion is wanted or not", async (t) => {
    const lively = await pages({ reducedMotion: "no-preference" });
    t.after(() => lively.close());
    for (const place of ["map", "services", "network"]) {
        await lively.open(told.url, `${place}?last=5m`);
        await lively.page.keyboard.press("?");
        assert.equal(await lively.page.evaluate(() => document.getAnimations().length), 0, place);
        await lively.page.keyboard.press("Escape");
    }
});
