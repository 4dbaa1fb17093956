// A browser that is watched: what goes wrong on any page, and every request that leaves the server's origin, is noted.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function browserPath() {
  const found = process.env.CHROMIUM ?? PLACES.find(existsSync);
  if (!found)
    throw new Error(`no Chromium at ${PLACES.join(" or ")}: install Debian's chromium, or name one by CHROMIUM`);
  return found;
}

export class Watched {
  faults = [];
  /** What is provoked on purpose for a while, as a pattern of console messages. */
  expected = null;

  static async launch(origin) {
    const watched = new Watched();
    watched.origin = origin;
    // Containers often give no namespaces for the sandbox; only our own pages are opened.
    watched.browser = await chromium.launch({ executablePath: browserPath(), args: ["--no-sandbox"] });
    return watched;
  }

  async context(options = {}) {
    const context = await this.browser.newContext({
      viewport: { width: 1440, height: 900 },
      colorScheme: "light",
      timezoneId: "Europe/Madrid",
      locale: "en-GB",
      ...options,
    });
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`CSP: ${event.violatedDirective} blocked ${event.blockedURI} ${event.sample}`);
      });
    });
    context.on("request", (request) => this.#inside(request.url()));
    context.on("page", (page) => {
      page.on("websocket", (socket) => this.#inside(socket.url()));
      page.on("pageerror", (error) => this.faults.push(`error on ${page.url()}: ${error.message}`));
      page.on("console", (message) => {
        if (message.type() !== "error" && message.type() !== "warning") return;
        if (this.expected?.test(message.text())) return;
        this.faults.push(`console on ${page.url()}: ${message.text()}`);
      });
    });
    return context;
  }

  #inside(url) {
    const asked = new URL(url);
    if (!["data:", "blob:"].includes(asked.protocol) && asked.host !== new URL(this.origin).host)
      this.faults.push(`request to ${url}`);
  }

  /** Runs `action` while console messages like `pattern` are no fault. */
  async expecting(pattern, action) {
    this.expected = pattern;
    try {
      return await action();
    } finally {
      this.expected = null;
    }
  }

  /** Serious and critical findings of axe-core on the page as it is. */
  async inspect(page, name) {
    await page.evaluate(`${axe}; 0`);
    const violations = await page.evaluate(
      async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations,
    );
    for (const { id, impact, nodes } of violations) {
      if (impact !== "serious" && impact !== "critical") continue;
      const places = nodes
        .slice(0, 3)
        .map((node) => `${node.target.join(" ")}: ${node.failureSummary.split("\n").slice(1, 2).join("").trim()}`);
      this.faults.push(`axe on ${name}: ${id} (${impact}), ${nodes.length} times; ${places.join("; ")}`);
    }
  }
}
