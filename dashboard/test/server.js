// Starts the real binary on a replay, with a data folder of its own, and reads the set-up link that it prints.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../../", import.meta.url));
const baseline = path.join(repository, "corpus/first-look/clean.pcap");
export const capture = path.join(repository, "corpus/first-look/suspicious.pcap");

export function binary() {
  const named =
    process.env.LAPWING ??
    path.join(process.env.CARGO_TARGET_DIR ?? path.join(repository, "target"), "release/lapwing");
  if (!existsSync(named))
    throw new Error(`no binary at ${named}: build one with \`cargo build --release\`, or name one by LAPWING`);
  return named;
}

/** `{ link, origin, stop }` of a server that is ready; what it printed so far is in the error if it does not become so. */
export async function startServer(speed = 20) {
  const data = mkdtempSync(path.join(tmpdir(), "lapwing-dashboard-"));
  const args = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--data-dir",
    data,
    "--replay",
    capture,
    "--baseline",
    baseline,
    "--speed",
    String(speed),
  ];
  const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"], cwd: data });
  let printed = "";
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const link = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no set-up link within a minute; printed: ${printed}`)), 60_000);
    const read = (chunk) => {
      printed += chunk;
      const found = /https?:\/\/\S+\/#\/setup\?code=[^\s"']+/.exec(printed);
      if (!found) return;
      clearTimeout(late);
      resolve(found[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => reject(new Error(`lapwing serve ended with ${code}; printed: ${printed}`)));
  }).catch((error) => {
    child.kill();
    rmSync(data, { recursive: true, force: true });
    throw error;
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(data, { recursive: true, force: true });
  };
  return { link, origin: new URL(link).origin, stop, printed: () => printed };
}
