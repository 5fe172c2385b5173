// Runs the browser tests with one shop and one agent for all of them: node with-shop.mjs TEST ...

import { spawn } from "node:child_process";
import { once } from "node:events";
import { shop } from "./shop.mjs";

const agent = await shop();
let code = 1;
try {
    const arguments_ = ["--test", "--test-reporter", "spec", "--test-concurrency", "2", ...process.argv.slice(2)];
    const tests = spawn(process.execPath, arguments_, { stdio: "inherit", env: { ...process.env, STETH_UI_URL: agent.url } });
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => tests.kill(signal));
    [code] = await once(tests, "exit");
} finally {
    await agent.stop();
}
process.exit(code ?? 1);
