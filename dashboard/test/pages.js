// Every page, light and dark, wide and narrow: a picture of it, nothing wider than the screen, no serious finding of axe-core.

import { mkdirSync } from "node:fs";
import { ADMIN, shots, signIn } from "./walk.js";

const LOOKS = [
  { name: "light-1440", colorScheme: "light", viewport: { width: 1440, height: 900 } },
  { name: "dark-1440", colorScheme: "dark", viewport: { width: 1440, height: 900 } },
  { name: "light-390", colorScheme: "light", viewport: { width: 390, height: 844 } },
  { name: "dark-390", colorScheme: "dark", viewport: { width: 390, height: 844 } },
];
const TALLEST = 2400;

async function addresses(context, origin) {
  const first = async (path, fits = () => true) =>
    (await (await context.request.get(`${origin}/api/v1/${path}`)).json()).data?.find(fits)?.id;
  const [alert, anomaly, device, failed, job] = await Promise.all([
    first("alerts?kind=port-scan&suppressed=true"),
    first("alerts?kind=anomaly"),
    first("devices?text=192.168.50.22"),
    first("uploads", (job) => job.state === "failed"),
    first("uploads", (job) => job.state === "done"),
  ]);
  return Object.entries({
    now: "now",
    alerts: "alerts?suppressed=true",
    "alerts-closed": "alerts?status=closed&suppressed=true",
    "alert-suppressing": alert && [`alerts/${alert}`, "Suppress…"],
    alert: alert && `alerts/${alert}`,
    "alert-unusual": anomaly && `alerts/${anomaly}`,
    suppressions: "alerts/suppressions",
    devices: "devices",
    device: device && `devices/${encodeURIComponent(device)}`,
    "device-naming": device && [`devices/${encodeURIComponent(device)}`, /^(Name it|Rename)/],
    flows: "traffic/flows",
    "flow-fields": ["traffic/flows?port=80", / → /],
    packets: "traffic/packets",
    "packet-fields": ["traffic/packets?filter=tcp", / → /],
    "over-time": "traffic/time?hours=720",
    uploads: "traffic/uploads",
    upload: job && `traffic/uploads/${job}`,
    "upload-failed": failed && `traffic/uploads/${failed}`,
    "upload-packets": job && `traffic/packets?job=${job}`,
    "upload-alerts": job && `alerts?job=${job}`,
    models: "detection/models",
    signatures: "detection/signatures",
    sources: "detection/sources",
    sinks: "detection/sinks",
    health: "system/health",
    account: "system/account",
    "new-token": ["system/account", "New token…"],
    accounts: "system/accounts",
    "new-account": ["system/accounts", "New account…"],
    audit: "system/audit",
    configuration: "system/configuration",
    "no-such-alert": "alerts/0000000000000000",
  }).filter(([, hash]) => hash);
}

/** One is closed, so that lists show what is done as well. */
async function closeOne(page) {
  await page.evaluate(async () => {
    const { data } = await (await fetch("/api/v1/alerts?status=open&limit=1")).json();
    const body = JSON.stringify({ ids: data.map((alert) => alert.id), status: "closed" });
    const headers = { "content-type": "application/json" };
    // An answer that nobody reads is one that the browser waits for.
    if (data.length > 0) await (await fetch("/api/v1/alerts/status", { method: "POST", headers, body })).text();
  });
}

async function take(watched, page, name, look) {
  await page.evaluate(() => document.fonts.ready);
  const { width, height } = await page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    height: document.documentElement.scrollHeight,
  }));
  if (width > look.viewport.width)
    watched.faults.push(`${name} is ${width} px wide on a screen of ${look.viewport.width}`);
  const clip = { x: 0, y: 0, width: look.viewport.width, height: Math.min(height, TALLEST) };
  await page.screenshot({ path: `${shots}${name}-${look.name}.png`, fullPage: true, clip });
  await watched.inspect(page, `${name} ${look.name}`);
}

export async function pages(watched, origin) {
  mkdirSync(shots, { recursive: true });
  let taken = 0;
  for (const look of LOOKS) {
    const context = await watched.context({ colorScheme: look.colorScheme, viewport: look.viewport });
    const page = await context.newPage();
    await page.goto(origin);
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await take(watched, page, "login", look);
    await page.goto(`${origin}/#/setup?code=looking`);
    await page.getByRole("button", { name: "Make the account" }).waitFor();
    await take(watched, page, "setup", look);
    await page.goto(`${origin}/#/`);
    await signIn(page, origin, ADMIN);
    await closeOne(page);
    for (const [name, place] of await addresses(context, origin)) {
      const [hash, button] = [place].flat();
      await watched.expecting(name.startsWith("no-such") ? /status of 404/ : null, async () => {
        await page.goto(`${origin}/#/${hash}`);
        await page.waitForLoadState("networkidle", { timeout: 10_000 }).catch(() => {});
        await page.waitForTimeout(250);
        await page
          .getByText("Loading…")
          .first()
          .waitFor({ state: "detached", timeout: 10_000 })
          .catch(() => watched.faults.push(`${name} ${look.name} goes on loading`));
        if (button) {
          await page.getByRole("button", { name: button }).first().click();
          await page.waitForTimeout(400);
        }
        await take(watched, page, name, look);
        // An open dialog would be in the way of the next page.
        if (button) await page.keyboard.press("Escape");
      });
      taken += 1;
    }
    await page.goto(`${origin}/docs`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.locator("summary").first().click();
    await take(watched, page, "docs", look);
    await context.close();
  }
  console.log(`ok    ${taken} pages looked at; pictures in ${shots}`);
}
