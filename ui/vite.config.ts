// Relative URLs, so that the page works behind any prefix of a reverse proxy; nothing inline, because the agent's content security
// policy forbids it. What comes out is committed: it has to be the same wherever it is built.
import { defineConfig } from "vite";

export default defineConfig({
    base: "./",
    build: {
        target: "es2022",
        assetsInlineLimit: 0,
        cssCodeSplit: false,
        modulePreload: false,
        reportCompressedSize: false,
        rolldownOptions: { output: { entryFileNames: "assets/[name]-[hash].js", assetFileNames: "assets/[name]-[hash][extname]" } },
    },
});
