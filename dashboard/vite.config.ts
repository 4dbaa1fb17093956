import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { licenses } from "./licenses.ts";

// The server that `npm run dev` shows: `lapwing serve --replay …`, started by hand.
const server = process.env.LAPWING_URL ?? "http://127.0.0.1:8080";
const routes = ["/auth", "/api", "/health", "/ready", "/openapi.json", "/metrics"];

export default defineConfig({
  plugins: [svelte(), licenses()],
  build: {
    // Names carry a hash of the content: the server lets browsers keep them for ever.
    rolldownOptions: {
      input: ["index.html", "docs.html"],
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
        advancedChunks: {
          groups: [
            { name: "svelte", test: /node_modules\/(svelte|esm-env|clsx)\// },
            { name: "shared", minShareCount: 2 },
          ],
        },
      },
    },
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    target: "es2022",
  },
  server: {
    proxy: {
      ...Object.fromEntries(
        routes.map((route) => [route, { target: server, changeOrigin: true, headers: { origin: server } }]),
      ),
      "/ws": { target: server, ws: true, changeOrigin: true, headers: { origin: server } },
    },
  },
});
