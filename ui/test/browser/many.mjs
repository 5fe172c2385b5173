// So many services that a map becomes large: each a busybox httpd with a name of its own, and a loop that asks two others.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Starts them on ports from `first` on; `rest` makes them do nothing from now on, `stop` ends them all. */
export async function many(services, first) {
    const directory = await mkdtemp(join(tmpdir(), "steth-many-"));
    await writeFile(join(directory, "index.html"), "well\n");
    const processes = [];
    const start = (n, script) =>
        processes.push(
            spawn("busybox", ["sh", "-c", script], {
                cwd: directory,
                detached: true,
                stdio: "ignore",
                env: { PATH: process.env.PATH, OTEL_SERVICE_NAME: `service-${String(n).padStart(3, "0")}` },
            }),
        );
    const port = (n) => first + n;
    for (let n = 0; n < services; n++) {
        start(n, `exec busybox httpd -f -p 127.0.0.1:${port(n)} -h ${directory}`);
        // A tree in which everyone also asks one far away: the second half answers only.
        const targets = [2 * n + 1, 2 * n + 2, (n * 7 + 3) % services].filter((to) => to > n && to < services);
        if (targets.length === 0) continue;
        const asks = targets.map((to) => `busybox wget -q -O /dev/null http://127.0.0.1:${port(to)}/`).join("; ");
        start(n, `while :; do ${asks}; busybox sleep 4; done`);
    }
    // Each has a group of its own, with the programs that its loop has started.
    const all = (signal) => {
        for (const { pid } of processes) {
            try {
                process.kill(-pid, signal);
            } catch {
                // It has ended already.
            }
        }
    };
    const end = () => all("SIGKILL");
    process.once("exit", end);
    return {
        rest: () => all("SIGSTOP"),
        async stop() {
            end();
            process.off("exit", end);
            await rm(directory, { recursive: true, force: true });
        },
    };
}
