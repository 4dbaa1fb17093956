// The whole way, as a person goes it: set-up link, live replay, an alert understood and dealt with, a device named, a capture
// uploaded, a viewer refused, log out.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { capture } from "./server.js";

export const ADMIN = { name: "ada", password: "a lapwing keeps watch" };
export const VIEWER = { name: "vera", password: "only looking, thank you" };
export const shots = fileURLToPath(new URL("./shots/", import.meta.url));
const HOSTILE = `<img src=x onerror="document.title='broken in'">`;
const LONG = 60_000;

export async function signIn(page, origin, who) {
  await page.goto(`${origin}/`);
  await page.getByLabel("Name").fill(who.name);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

const steps = [];
const step = (name, run) => steps.push({ name, run });

step("the set-up link makes the first account", async ({ page, link }) => {
  await page.goto(link);
  await page.getByLabel("Name").fill(ADMIN.name);
  await page.getByLabel("Password", { exact: true }).fill(ADMIN.password);
  await page.getByLabel("The same again").fill(ADMIN.password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
});

step("the set-up link works once", async ({ watched, link }) => {
  const context = await watched.context();
  const page = await context.newPage();
  await watched.expecting(/status of 4\d\d/, async () => {
    await page.goto(link);
    await page.getByLabel("Name").fill("mallory");
    await page.getByLabel("Password", { exact: true }).fill(ADMIN.password);
    await page.getByLabel("The same again").fill(ADMIN.password);
    await page.getByRole("button", { name: "Make the account" }).click();
    await page.getByRole("alert").waitFor();
  });
  assert.equal(await page.getByRole("navigation", { name: "Pages" }).count(), 0);
  await context.close();
});

step("the replay is live, and said to be a replay", async ({ page }) => {
  await page.getByText("Live", { exact: true }).waitFor({ timeout: LONG });
  await page.getByText("A recorded capture is played").waitFor();
  await page.getByRole("img", { name: /Packets and bytes per second/ }).waitFor({ timeout: LONG });
  await page.getByRole("heading", { name: "Top talkers" }).waitFor();
});

step("an alert is opened and understood", async ({ page, origin }) => {
  await page.getByRole("table", { name: "Latest alerts" }).waitFor({ timeout: LONG });
  await until(page, async () => {
    await page.goto(`${origin}/#/now`);
    await page.goto(`${origin}/#/alerts?kind=port-scan`);
    return (await page.getByRole("link", { name: "Port scan" }).count()) > 0;
  });
  await page.getByRole("link", { name: "Port scan" }).first().click();
  await page.getByRole("heading", { level: 1, name: "Port scan" }).waitFor();
  await page
    .getByText(/192\.168\.50\.66 .* ports of 192\.168\.50\.22/)
    .first()
    .waitFor();
  await page.getByText("It would not have alerted with any one of these below its mark").waitFor();
  await page.getByText("T1046 Network Service Discovery").waitFor();
  await page.getByRole("table", { name: "Flows it rests on" }).waitFor();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "JSON" }).click();
  assert.match((await saved).suggestedFilename(), /^alert-[0-9a-f]+\.json$/);
  const packets = page.waitForEvent("download");
  await page.getByRole("link", { name: "Packets (pcap)" }).click();
  const head = readFileSync(await (await packets).path())
    .subarray(0, 4)
    .toString("hex");
  assert.ok(["d4c3b2a1", "4d3cb2a1", "a1b2c3d4", "a1b23c4d"].includes(head), `a capture begins otherwise than ${head}`);
});

step("it is acknowledged, with who did it", async ({ page }) => {
  await page.getByRole("button", { name: "Acknowledge" }).click();
  await page.getByText("Alert acknowledged.").waitFor();
  await page.getByText(`by ${ADMIN.name}`).first().waitFor();
  await page.getByRole("button", { name: "Reopen" }).waitFor();
});

step("it is suppressed, after a look at what that hides; Esc leaves the dialog", async ({ page, origin }) => {
  const open = page.getByRole("button", { name: "Suppress…" });
  await open.click();
  const dialog = page.getByRole("dialog", { name: "Suppress alerts like this one" });
  await dialog.getByText(/Would hide \d+ alerts?/).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.ok(await open.evaluate((button) => button === document.activeElement), "the focus returns to the button");
  await open.click();
  await dialog.getByText(/Would hide [1-9]\d* alerts?/).waitFor();
  await dialog.getByLabel("Reason, for whoever wonders later").fill(`The scanner of the house ${HOSTILE}`);
  await dialog.getByRole("button", { name: "Suppress", exact: true }).click();
  await page.getByText(/^Suppressed/).waitFor();
  await page.goto(`${origin}/#/alerts/suppressions`);
  await page.getByText("The scanner of the house").filter({ visible: true }).first().waitFor();
});

step("from an alert to its device", async ({ page, origin }) => {
  await until(page, async () => {
    const list = async (path) => (await (await page.request.get(`${origin}/api/v1/${path}`)).json()).data;
    const [alert] = await list("alerts?kind=brute-force");
    return alert !== undefined && (await list(`devices?text=${alert.device}`)).length > 0;
  });
  await page.goto(`${origin}/#/alerts?kind=brute-force`);
  await page.getByRole("table", { name: "Alerts, newest first" }).getByRole("link").first().click();
  await page.getByRole("heading", { name: "Facts" }).waitFor();
  await page.locator("dt", { hasText: "About" }).locator("+ dd a").click();
  await page.getByRole("heading", { name: "Hours of the day" }).waitFor();
});

step("a device is named, and a name is never markup", async ({ page, origin }) => {
  await page.goto(`${origin}/#/devices`);
  const devices = page.getByRole("table", { name: "Devices, the one seen last first" });
  await devices.waitFor({ timeout: 2 * LONG });
  await devices.getByRole("link", { name: "192.168.50.22", exact: true }).click();
  await page.getByRole("heading", { name: "Hours of the day" }).waitFor();
  await page.getByRole("button", { name: "Name it…" }).click();
  const dialog = page.getByRole("dialog", { name: "Name and note" });
  await dialog.getByLabel("Name").fill(`Camera ${HOSTILE}`);
  await dialog.getByLabel("Note").fill("At the door");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { level: 1, name: "Camera <img" }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  assert.doesNotMatch(await page.title(), /broken in/);
});

step("packets are filtered by a pattern and in tcpdump's language", async ({ page, origin, watched }) => {
  await page.goto(`${origin}/#/traffic/packets`);
  await page.getByRole("table", { name: "Packets" }).waitFor({ timeout: LONG });
  await page
    .getByRole("list", { name: /^Patterns/ })
    .getByRole("button")
    .first()
    .click();
  assert.match(page.url(), /pattern=/);
  await page.getByRole("button", { name: "Clear filters" }).click();
  await watched.expecting(/status of 400/, async () => {
    await page.getByLabel("Filter, in tcpdump's language").fill("port port");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("alert").waitFor();
  });
  await page.getByLabel("Filter, in tcpdump's language").fill("tcp and host 192.168.50.22");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("table", { name: "Packets" }).waitFor();
});

step("a capture is uploaded under a hostile name and its findings are read", async ({ page, origin }) => {
  const folder = mkdtempSync(path.join(tmpdir(), "lapwing-upload-"));
  const file = path.join(folder, "<img src=x onerror=alert(1)>.pcap");
  copyFileSync(capture, file);
  await page.goto(`${origin}/#/traffic/uploads`);
  await page.getByLabel("File").setInputFiles(file);
  await page.getByRole("button", { name: /^Upload/ }).click();
  await page.getByRole("heading", { name: "What was found" }).waitFor({ timeout: LONG });
  await page
    .getByRole("table", { name: "Alerts of this capture" })
    .getByRole("link", { name: "Port scan" })
    .first()
    .click();
  await page.getByText("comes from this capture alone").waitFor();
  await page.getByRole("heading", { level: 1, name: "Port scan" }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  await page.getByRole("link", { name: "Its findings" }).click();
  await page.getByRole("link", { name: /packets,/ }).click();
  await page.getByRole("table", { name: "Packets" }).waitFor({ timeout: LONG });
  rmSync(folder, { recursive: true });
});

step("what is no capture is refused with a reason", async ({ page, origin, watched }) => {
  await page.goto(`${origin}/#/traffic/uploads`);
  await page
    .getByLabel("File")
    .setInputFiles({ name: "notes.pcap", mimeType: "text/plain", buffer: Buffer.from("no capture at all") });
  await watched.expecting(/status of 4\d\d/, async () => {
    await page.getByRole("button", { name: /^Upload/ }).click();
    await page.getByRole("alert").waitFor();
  });
});

step("an administrator makes an account for a viewer, and a token that is shown once", async ({ page, origin }) => {
  await page.goto(`${origin}/#/system/accounts`);
  await page.getByRole("button", { name: "New account…" }).click();
  const dialog = page.getByRole("dialog", { name: "New account" });
  await dialog.getByLabel("Name").fill(VIEWER.name);
  await dialog.getByLabel("Password", { exact: true }).fill(VIEWER.password);
  await dialog.getByLabel("The same again").fill(VIEWER.password);
  await dialog.getByRole("button", { name: "Make the account" }).click();
  await page.getByRole("rowheader", { name: VIEWER.name }).waitFor();
  await page.goto(`${origin}/#/system/account`);
  await page.getByRole("button", { name: "New token…" }).click();
  await page.getByLabel("What it is for").fill("the browser test");
  await page.getByRole("button", { name: "Make it" }).click();
  const token = await page.locator("[data-token]").innerText();
  assert.ok(token.length > 20);
  await page.getByRole("button", { name: "Done" }).click();
  const answer = await fetch(`${origin}/api/v1/alerts`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 200);
  await page.reload();
  await page.getByText("the browser test").waitFor();
  assert.equal(await page.locator("[data-token]").count(), 0);
});

step("a viewer sees no controls and is refused what a viewer may not do", async ({ watched, origin }) => {
  const context = await watched.context();
  const page = await context.newPage();
  await signIn(page, origin, VIEWER);
  await page.goto(`${origin}/#/alerts?suppressed=true`);
  await page.getByRole("table", { name: "Alerts, newest first" }).getByRole("link").first().click();
  await page.getByRole("heading", { name: "Why it was said" }).waitFor();
  for (const name of ["Acknowledge", "Suppress…", "Reopen"])
    assert.equal(await page.getByRole("button", { name }).count(), 0, name);
  await page.goto(`${origin}/#/system`);
  assert.equal(await page.getByRole("link", { name: "Accounts" }).count(), 0);
  await watched.expecting(/status of 403/, async () => {
    await page.goto(`${origin}/#/system/accounts`);
    await page.getByText("Your role does not allow this.").waitFor();
    const status = await page.evaluate(async () => {
      const headers = { "content-type": "application/json" };
      return (
        await fetch("/api/v1/alerts/status", {
          method: "POST",
          headers,
          body: JSON.stringify({ ids: ["0"], status: "closed" }),
        })
      ).status;
    });
    assert.equal(status, 403);
  });
  await context.close();
});

step("an administrator stops watching and plays the capture again, faster", async ({ page, origin }) => {
  await page.goto(`${origin}/#/detection/sources`);
  const stop = page.getByRole("button", { name: "Stop…" });
  if (await stop.isVisible()) {
    await stop.click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
    await page.getByText("An administrator starts a source").waitFor();
  }
  await page.getByRole("radio", { name: /^Replay/ }).check();
  await page.getByLabel("Speed, times its own pace").fill("40");
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByText("Watching replay of suspicious.pcap.").waitFor();
  await page.getByText("played at 40 times its pace").waitFor();
});

step("the keyboard reaches the content past the navigation", async ({ page, origin }) => {
  await page.goto(`${origin}/#/now`);
  await page.reload();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
});

step("a session that has run out is renewed without a word", async ({ page, context, watched, origin }) => {
  await context.clearCookies({ name: "lapwing_session" });
  await watched.expecting(/status of 401/, async () => {
    await page.goto(`${origin}/#/system/health`);
    await page.getByText("healthy").or(page.getByText("degraded")).first().waitFor();
    await page.goto(`${origin}/#/system/audit`);
    await page.getByRole("table", { name: "What people did, latest first" }).waitFor();
  });
  assert.ok((await context.cookies()).some((cookie) => cookie.name === "lapwing_session"));
});

step("a lost connection is said, and taken up where it stopped", async ({ watched, origin }) => {
  const context = await watched.context();
  const page = await context.newPage();
  const asked = [];
  let held = null;
  let refuse = false;
  await page.routeWebSocket(/\/ws/, (socket) => {
    asked.push(new URL(socket.url()).search);
    if (refuse) return void socket.close({ code: 1011 });
    socket.connectToServer();
    held = socket;
  });
  await signIn(page, origin, ADMIN);
  const state = page.getByText(/^(Live|Ended)$/);
  await state.waitFor();
  refuse = true;
  await held.close({ code: 1011 });
  await page.getByText("Connection lost").waitFor();
  await page.getByText(/trying again in \d+ s/).waitFor();
  refuse = false;
  await page.getByRole("button", { name: "Try now" }).click();
  await state.waitFor();
  assert.match(asked.at(-1), /^\?since=\d+$/);
  await context.close();
});

step("peers are put on a map when a database tells where they are", async ({ watched, origin }) => {
  const context = await watched.context();
  const page = await context.newPage();
  const scripts = [];
  page.on("request", (request) => scripts.push(new URL(request.url()).pathname));
  let places = [];
  const put = (overview) => ({ ...overview, places });
  await page.routeWebSocket(/\/ws/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((text) => {
      const message = text.startsWith("{") ? JSON.parse(text) : null;
      socket.send(message?.type === "init" ? JSON.stringify({ ...message, overview: put(message.overview) }) : text);
    });
  });
  await page.route(/api\/v1\/overview/, async (route) =>
    route.fulfill({ json: put(await (await route.fetch()).json()) }),
  );
  await signIn(page, origin, ADMIN);
  await page.getByText("No map yet").waitFor();
  assert.ok(!scripts.some((name) => name.includes("WorldMap")), "the map is not loaded before it is wanted");
  places = ["US", "DE", "FR", "CN", "BR", "SG"].map((country, place) => ({
    country,
    hosts: 2 ** (6 - place),
    bytes: 10 ** (8 - place),
    alerts: place % 2,
  }));
  await page.reload();
  await page.getByRole("img", { name: /^World map: hosts in 6 countries/ }).scrollIntoViewIfNeeded();
  await page.getByRole("rowheader", { name: "Singapore" }).waitFor();
  await page.screenshot({ path: `${shots}map.png` });
  await watched.inspect(page, "now with a map");
  await context.close();
});

step("the API explains itself at /docs", async ({ page, origin }) => {
  await page.goto(`${origin}/docs`);
  await page.getByText("/api/v1/alerts", { exact: true }).first().waitFor();
});

step("signing out ends the session", async ({ page, origin, context }) => {
  await page.goto(`${origin}/#/now`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  assert.equal((await context.request.get(`${origin}/api/v1/alerts`)).status(), 401);
});

/** Tries until it is so: a replay takes its time. */
async function until(page, check, tries = 60) {
  for (let attempt = 0; attempt < tries; attempt += 1) {
    if (await check()) return;
    await page.waitForTimeout(1000);
  }
  throw new Error("it did not come to be within a minute");
}

export async function walk(given) {
  for (const { name, run } of steps) {
    const begun = Date.now();
    await run(given).catch((error) => {
      error.message = `${name}: ${error.message}`;
      throw error;
    });
    console.log(`ok    ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  }
}
