// Who may see the page, and what it says where anybody may.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pages } from "./kit.mjs";
import { agentOnly } from "./shop.mjs";

const TOKEN = "a-token-of-this-test-alone";

test("an agent with a token asks for it once, and then shows the page", async (t) => {
    const agent = await agentOnly({ token: TOKEN });
    t.after(() => agent.stop());
    const chromium = await pages();
    t.after(() => chromium.close());
    const { page } = chromium;
    await page.goto(agent.url);
    await chromium.shot("login-light");
    await chromium.axe();
    await page.getByLabel("Token").fill("another-token-altogether");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByText("That is another token.").waitFor();
    await page.goto(agent.url);
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByRole("navigation", { name: "Pages" }).waitFor();
    await page.goto(`${agent.url}#/agent`);
    await page.getByRole("heading", { name: "The ledger" }).waitFor();
    assert.equal(await page.locator(".insecure").count(), 0);

    // The session ends while the page is open.
    await chromium.context.clearCookies();
    await page.goto(`${agent.url}#/services`);
    await page.getByRole("heading", { name: "The session is over" }).waitFor();
    await page.getByRole("button", { name: "Give the token" }).click();
    await page.getByLabel("Token").waitFor();
});

test("an agent that anybody may ask says so in red, on every page", async (t) => {
    const agent = await agentOnly({ host: "0.0.0.0", options: ["--insecure-listen"] });
    t.after(() => agent.stop());
    const chromium = await pages();
    t.after(() => chromium.close());
    const { page } = chromium;
    for (const place of ["map", "services", "agent"]) {
        await page.goto(`${agent.url}#/${place}`);
        await page.locator(".topbar .insecure.failing").waitFor();
    }
    await page.getByText("Insecure.").waitFor();
    for (const theme of ["light", "dark"]) {
        await page.goto(`${agent.url}#/agent?theme=${theme}`);
        await chromium.shot(`insecure-${theme}`);
        await chromium.axe();
    }
});
