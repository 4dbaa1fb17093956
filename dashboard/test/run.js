// `npm test`: drives the built dashboard in a real browser against the real server. `LAPWING` names another binary,
// `CHROMIUM` another browser.

import { firstView, scriptSize } from "./measure.js";
import { pages } from "./pages.js";
import { startServer } from "./server.js";
import { walk } from "./walk.js";
import { Watched } from "./browser.js";

const server = await startServer();
let watched;
let failure = null;
try {
  watched = await Watched.launch(server.origin);
  scriptSize(watched);
  const context = await watched.context();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  try {
    await walk({ watched, context, page, link: server.link, origin: server.origin });
    await firstView(watched, server.origin);
    await pages(watched, server.origin);
  } catch (error) {
    failure = error;
    await page.screenshot({ path: new URL("./failed.png", import.meta.url).pathname }).catch(() => {});
  }
} finally {
  await watched?.browser.close();
  await server.stop();
}

const faults = [...new Set(watched.faults)];
for (const fault of faults) console.error(`FAULT ${fault}`);
if (failure) console.error(`FAILED ${failure.stack}\n(the page as it was then: test/failed.png)`);
if (failure || faults.length > 0) process.exit(1);
console.log("all is well: nothing left the origin, nothing on the console, nothing serious from axe-core");
