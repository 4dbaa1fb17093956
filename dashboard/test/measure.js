// How large the scripts are, and how soon the first view stands.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { ADMIN, signIn } from "./walk.js";

const MOST_SCRIPT_BYTES = 150_000;
const SOONEST_MS = 1000;
const assets = new URL("../dist/assets/", import.meta.url);

export function scriptSize(watched) {
  const scripts = readdirSync(assets).filter((name) => name.endsWith(".js"));
  const size = (names) =>
    names.reduce((sum, name) => sum + gzipSync(readFileSync(new URL(name, assets)), { level: 9 }).length, 0);
  const map = scripts.filter((name) => name.startsWith("WorldMap"));
  const bytes = size(scripts.filter((name) => !map.includes(name)));
  console.log(
    `ok    scripts: ${(bytes / 1000).toFixed(1)} kB gzip, and ${(size(map) / 1000).toFixed(1)} kB for the map when it is shown`,
  );
  if (bytes > MOST_SCRIPT_BYTES) watched.faults.push(`scripts are ${bytes} bytes gzip, more than ${MOST_SCRIPT_BYTES}`);
}

/** From navigation, nothing cached, until the figures and the plot of the first page stand: the median of five. */
export async function firstView(watched, origin) {
  const context = await watched.context();
  const page = await context.newPage();
  await signIn(page, origin, ADMIN);
  const client = await context.newCDPSession(page);
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  const times = [];
  for (let run = 0; run < 5; run += 1) {
    await page.goto("about:blank");
    await page.goto(`${origin}/#/now`, { waitUntil: "commit" });
    const drawn = await page.waitForFunction(
      () => (document.querySelector("main dl") && document.querySelector("main canvas") ? performance.now() : null),
      null,
      { polling: "raf" },
    );
    times.push(await drawn.jsonValue());
  }
  await context.close();
  times.sort((a, b) => a - b);
  const median = times[2];
  console.log(
    `ok    first view drawn after ${median.toFixed(0)} ms (median of ${times.map((time) => time.toFixed(0)).join(", ")})`,
  );
  if (median > SOONEST_MS) watched.faults.push(`the first view took ${median.toFixed(0)} ms`);
}
