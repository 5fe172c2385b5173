// A reverse proxy as people put one before the agent: everything is below a prefix. It can also stop passing anything on, and tell some answers
// otherwise than the agent did: what a page shows of an agent in trouble cannot be had from one that is well.

import { once } from "node:events";
import { createServer, request } from "node:http";

/**
 * `{ url, cut, tell, stop }`: `cut(true)` lets nothing through, as if the agent had gone. `tell("map", change)` puts what `change(answer)` returns
 * in place of the answers of `api/v1/map`: the JSON that it was given, changed, or `{ status, text }`; without `change` they pass as they are.
 */
export async function proxy(target, prefix = "/tools/steth/") {
    const to = new URL(target);
    let broken = false;
    const changes = new Map();
    const server = createServer((asked, answer) => {
        if (broken) return void asked.socket.destroy();
        if (!asked.url.startsWith(prefix)) return void answer.writeHead(404).end();
        const path = `/${asked.url.slice(prefix.length)}`;
        const change = changes.get(/^\/api\/v1\/([a-z]+)/.exec(path)?.[1]);
        const headers = { ...asked.headers, host: to.host };
        const passed = request({ host: to.hostname, port: to.port, method: asked.method, path, headers }, async (told) => {
            if (change === undefined) {
                answer.writeHead(told.statusCode, told.headers);
                return void told.pipe(answer);
            }
            const pieces = await told.toArray();
            const { status, text } = changed(change, told, Buffer.concat(pieces).toString());
            answer.writeHead(status, { "content-type": status === 200 ? "application/json" : "text/plain", date: told.headers.date }).end(text);
        });
        passed.on("error", () => answer.destroy());
        asked.pipe(passed);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
        url: `http://127.0.0.1:${server.address().port}${prefix}`,
        cut(yes) {
            broken = yes;
            if (yes) server.closeAllConnections();
        },
        tell(question, change) {
            if (change) changes.set(question, change);
            else changes.delete(question);
        },
        stop() {
            server.closeAllConnections();
            server.close();
        },
    };
}

function changed(change, told, text) {
    if (told.statusCode !== 200) return { status: told.statusCode, text };
    const made = change(JSON.parse(text));
    return typeof made.status === "number" ? made : { status: 200, text: JSON.stringify(made) };
}
