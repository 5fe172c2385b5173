// The pictures of the documentation: the map of the shop with its slow service in focus. Usage: node screenshot.mjs FOLDER

import { browser } from "./chromium.mjs";
import { shop, until } from "./shop.mjs";

const [folder] = process.argv.slice(2);
const MINUTES = 2;

// The shop and nobody else: not this browser, nor what else runs on the machine. Each of its programs has its home in the demo's directory.
const configuration = `selection:
  environment: {include: ["HOME=/.*/steth-demo-"]}
  executable: {exclude: ["/steth$"]}
`;
const agent = await shop({ rate: 30, configuration });
let chromium;
try {
    chromium = await browser({ width: 1440, height: 900 });
    const { page } = chromium;
    await until(
        "there is something to show",
        async () => {
            const { data } = await agent.ask(`series?last=${MINUTES}m&points=180`);
            return data.series[0].exchanges.count.filter((count) => count > 0).length >= MINUTES * 6 - 2;
        },
        (MINUTES + 1) * 60,
    );
    const { data } = await agent.ask("entities?text=payments");
    const { id } = data.entities.find(({ name }) => name === "payments");
    for (const [theme, file] of [
        ["light", "page.png"],
        ["dark", "page-dark.png"],
    ]) {
        await page.goto("about:blank");
        await page.goto(`${agent.url}#/map?last=${MINUTES}m&sel=${id}&theme=${theme}`);
        await page.locator(".panel canvas").nth(1).waitFor();
        await page.waitForLoadState("networkidle");
        await page.screenshot({ path: `${folder}/${file}` });
    }
} finally {
    await chromium?.close();
    await agent.stop();
}
