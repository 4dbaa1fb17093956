// `npm test`: drives the built dashboard in a real browser against the real server. `LAPWING` names another binary,
// `CHROMIUM` another browser.

import { firstView, scriptSize } from "./measure.js";
import { pages } from "./pages.js";
import { startServer } from "./server.js";
import { walk } from "./walk.js";
import { Watched } from "./browser.js";

const server = await startServer();
let watched;
const failures = [];
try {
  watched = await Watched.launch(server.origin);
  scriptSize(watched);
  const context = await watched.context();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  // What fails does not keep the rest from being looked at: one run shows all that is wrong.
  const parts = [
    () => walk({ watched, context, page, link: server.link, origin: server.origin }),
    () => firstView(watched, server.origin),
    () => pages(watched, server.origin),
  ];
  for (const part of parts) {
    await part().catch(async (error) => {
      failures.push(error);
      if (failures.length === 1)
        await page.screenshot({ path: new URL("./failed.png", import.meta.url).pathname }).catch(() => {});
    });
  }
} finally {
  await watched?.browser.close();
  await server.stop();
}

const faults = [...new Set(watched.faults)];
for (const fault of faults) console.error(`FAULT ${fault}`);
for (const failure of failures)
  console.error(`FAILED ${failure.message}\n(the page at the first failure: test/failed.png)`);
if (failures.length > 0 || faults.length > 0) process.exit(1);
console.log("all is well: nothing left the origin, nothing on the console, nothing serious from axe-core");
