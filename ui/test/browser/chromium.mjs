// A browser of its own for each run: fresh profile, no network of its own, gone afterwards.

import { mkdtemp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const PROGRAMS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=AutofillServerCommunication",
];

/** A browser with one window; `close` ends it and takes its files away. */
export async function browser({ width = 1440, height = 900, ...more } = {}) {
    const executablePath = PROGRAMS.find((program) => program && existsSync(program));
    if (!executablePath) throw new Error("no Chromium; scripts/setup test installs it, CHROMIUM says where it is");
    const profile = await mkdtemp(join(tmpdir(), "steth-ui-"));
    const context = await chromium.launchPersistentContext(profile, {
        executablePath,
        headless: true,
        args: ARGUMENTS,
        viewport: { width, height },
        reducedMotion: "reduce",
        permissions: ["clipboard-read", "clipboard-write"],
        ...more,
    });
    context.setDefaultTimeout(15_000);
    return {
        context,
        page: context.pages()[0] ?? (await context.newPage()),
        async close() {
            await context.close();
            await rm(profile, { recursive: true, force: true });
        },
    };
}
