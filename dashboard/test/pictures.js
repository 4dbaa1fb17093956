// `npm run pictures`: the pictures of the documentation, from a replay like that of the test.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { Watched } from "./browser.js";
import { repository, startServer } from "./server.js";
import { ADMIN, signIn } from "./walk.js";

const folder = path.join(repository, "docs/images");
const server = await startServer(6);
const watched = await Watched.launch(server.origin);
try {
  mkdirSync(folder, { recursive: true });
  const code = new URL(server.link.replace("/#/", "/")).searchParams.get("code");
  const post = (context, method, where, data) =>
    context.request.fetch(server.origin + where, { method, data, headers: { origin: server.origin } });
  const context = await watched.context();
  await post(context, "POST", "/auth/setup", { code, username: ADMIN.name, password: ADMIN.password });
  // Until the device that was taken over sends its data out.
  const get = async (where) => (await context.request.get(server.origin + where)).json();
  while ((await get("/api/v1/overview")).source.progress < 0.62)
    await new Promise((resolve) => setTimeout(resolve, 100));
  const { data } = await get("/api/v1/devices?limit=50");
  const names = {
    "192.168.50.22": "Camera at the door",
    "192.168.50.10": "Hub in the hall",
    "192.168.50.51": "Ada's laptop",
    "192.168.50.21": "Camera in the yard",
  };
  for (const device of data) {
    const name = names[device.address];
    if (name) await post(context, "PATCH", `/api/v1/devices/${encodeURIComponent(device.id)}`, { name });
  }
  for (const colorScheme of ["light", "dark"]) {
    const context = await watched.context({ colorScheme });
    const page = await context.newPage();
    await signIn(page, server.origin, ADMIN);
    await page.getByRole("img", { name: /Packets and bytes per second/ }).waitFor();
    await page.mouse.move(0, 0);
    await page.waitForTimeout(1200);
    await page.screenshot({ path: path.join(folder, colorScheme === "dark" ? "now-dark.png" : "now.png") });
  }
  console.log(`pictures in ${folder}`);
} finally {
  await watched.browser.close();
  await server.stop();
}
