// A reverse proxy as people put one before the agent: everything is below a prefix. It can also stop passing anything on.

import { once } from "node:events";
import { createServer, request } from "node:http";

/** `{ url, cut, stop }`: `cut(true)` lets nothing through, as if the agent had gone. */
export async function proxy(target, prefix = "/tools/steth/") {
    const to = new URL(target);
    let broken = false;
    const server = createServer((asked, answer) => {
        if (broken) return void asked.socket.destroy();
        if (!asked.url.startsWith(prefix)) return void answer.writeHead(404).end();
        const passed = request(
            {
                host: to.hostname,
                port: to.port,
                method: asked.method,
                path: `/${asked.url.slice(prefix.length)}`,
                headers: { ...asked.headers, host: to.host },
            },
            (told) => {
                answer.writeHead(told.statusCode, told.headers);
                told.pipe(answer);
            },
        );
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
        stop() {
            server.closeAllConnections();
            server.close();
        },
    };
}
