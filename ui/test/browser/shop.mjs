// The agent under test, and a shop of real services for it to observe: demo/run. STETH_UI_URL takes one that runs already.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Waits for a condition, not for a time. What it returns that is true is what it gives. */
export async function until(what, condition, seconds = 30) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const value = await condition().catch(() => false);
        if (value) return value;
        if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
}

/** The first of `width` ports that nobody listens at, below those that the kernel gives to clients. */
export async function freePort(width = 1) {
    for (;;) {
        const first = 20_000 + Math.floor(Math.random() * (12_000 - width));
        const servers = Array.from({ length: width }, (_, n) => createServer().listen(first + n, "127.0.0.1"));
        const free = await Promise.all(
            servers.map((server) => Promise.race([once(server, "listening").then(() => true), once(server, "error").then(() => false)])),
        );
        for (const server of servers) server.close();
        if (free.every((one) => one)) return first;
    }
}

/** An agent that runs already, if there is one. */
function running() {
    const url = process.env.STETH_UI_URL;
    if (!url) return null;
    const whole = url.endsWith("/") ? url : `${url}/`;
    return { url: whole, ask: asker(whole), async stop() {} };
}

const PROGRAM = process.env.STETH_AGENT ?? join(ROOT, "target/release/steth");

/**
 * The agent alone, which observes whatever is there. `host` is where it listens, `token` what it asks for, `configuration` what else its file says.
 */
export async function agentOnly({ host = "127.0.0.1", token = "", options = [], configuration: more = "" } = {}) {
    const data = await mkdtemp(join(tmpdir(), "steth-data-"));
    const port = await freePort();
    const configuration = join(data, "steth.yaml");
    await writeFile(join(data, "token"), token, { mode: 0o600 });
    const access = token === "" ? "" : `server:\n  token_file: ${join(data, "token")}\n`;
    await writeFile(configuration, `${access}${more}` || "{}\n");
    const listen = ["--listen", `${host}:${port}`, "--data", join(data, "windows"), "--config", configuration];
    const agent = spawn(PROGRAM, ["run", ...listen, ...options], { stdio: "ignore" });
    process.once("exit", () => agent.kill("SIGTERM"));
    const url = `http://127.0.0.1:${port}/`;
    const ask = asker(url, token);
    await until("the agent answers", () => ask("health"));
    return {
        url,
        ask,
        async stop() {
            agent.kill("SIGTERM");
            if (agent.exitCode === null) await once(agent, "exit");
            await rm(data, { recursive: true, force: true });
        },
    };
}

/** `{ url, ask, stop }`. Returns once windows with the whole shop in them were kept. `configuration` is the agent's. */
export async function shop({ rate = 20, windows = 3, configuration } = {}) {
    const known = running();
    if (known) return known;
    const directory = await mkdtemp(join(tmpdir(), "steth-shop-"));
    const state = join(directory, "state.json");
    const listen = `127.0.0.1:${await freePort()}`;
    const options = ["--agent", PROGRAM, "--listen", listen, "--no-open", "--rate", String(rate), "--state", state];
    if (configuration !== undefined) {
        const file = join(directory, "steth.yaml");
        await writeFile(file, configuration);
        options.push("--config", file);
    }
    const demo = spawn(join(ROOT, "demo/run"), options, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [demo.stdout, demo.stderr]) stream.on("data", (text) => (said += text));
    const stop = async () => {
        if (demo.exitCode === null && demo.signalCode === null) {
            demo.kill("SIGINT");
            await once(demo, "exit");
        }
        await rm(directory, { recursive: true, force: true });
    };
    // A run that is broken off takes the shop with it.
    process.once("exit", () => demo.kill("SIGINT"));
    try {
        const { agent: url } = await until(
            "the shop opens",
            async () => {
                if (demo.exitCode !== null) throw new Error(said);
                return JSON.parse(await readFile(state, "utf8"));
            },
            90,
        );
        const ask = asker(url);
        await until(
            "windows are kept",
            async () => {
                const { data } = await ask("series?last=5m&points=30");
                return (data.series[0]?.exchanges?.count.filter((count) => count > 0).length ?? 0) >= windows;
            },
            120,
        );
        return { url, ask, stop };
    } catch (error) {
        await stop();
        throw new Error(`${error.message}\n${said}`);
    }
}

const asker =
    (url, token = "") =>
    async (path) => {
        const response = await fetch(`${url}api/v1/${path}`, token === "" ? {} : { headers: { authorization: `Bearer ${token}` } });
        if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
        return response.json();
    };
