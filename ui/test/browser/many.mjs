// So many services that a map becomes large: each a busybox httpd with a name of its own, and a loop that asks two others. The loop is bash itself,
// without another program: one that has ended in a millisecond may be gone before its environment, and so its name, could be read.

import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Asks each of the ports that follow, and again after four seconds: nobody writes into the pipe of the last read. */
const ASK = `exec 4<> <(:)
while :; do
    for port; do
        exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && while read -r <&3; do :; done
        exec 3>&-
    done
    read -r -t 4 <&4
done`;

/** Starts them on ports from `first` on. `pairs`: who asks whom, how many of these there are; `rest` makes them do nothing from now on, `stop` ends them all. */
export async function many(services, first) {
    const directory = await mkdtemp(join(tmpdir(), "steth-many-"));
    await writeFile(join(directory, "index.html"), "well\n");
    const processes = [];
    const start = (n, program, ...words) =>
        processes.push(
            spawn(program, words, {
                cwd: directory,
                detached: true,
                stdio: "ignore",
                env: { PATH: process.env.PATH, OTEL_SERVICE_NAME: `service-${String(n).padStart(3, "0")}` },
            }),
        );
    const port = (n) => first + n;
    let pairs = 0;
    for (let n = 0; n < services; n++) {
        start(n, "busybox", "httpd", "-f", "-p", `127.0.0.1:${port(n)}`, "-h", directory);
        // A tree in which everyone also asks one far away: the second half answers only.
        const wanted = new Set([2 * n + 1, 2 * n + 2, (n * 7 + 3) % services]);
        const targets = [...wanted].filter((to) => to > n && to < services);
        pairs += targets.length;
        if (targets.length === 0) continue;
        start(n, "bash", "-c", ASK, "ask", ...targets.map((to) => `${port(to)}`));
    }
    // Each has a group of its own.
    const all = (signal) => {
        for (const { pid } of processes) {
            try {
                process.kill(-pid, signal);
            } catch {
                // It has ended already.
            }
        }
    };
    const end = () => {
        all("SIGKILL");
        rmSync(directory, { recursive: true, force: true });
    };
    process.once("exit", end);
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
    return {
        pairs,
        rest: () => all("SIGSTOP"),
        stop() {
            end();
            process.off("exit", end);
        },
    };
}
