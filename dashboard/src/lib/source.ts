// What is watched, in words.

import type { SourceStatus } from "../api";

/** A path's last part: nobody needs the folders. */
function file(path: string): string {
  return path.split("/").at(-1) ?? path;
}

export function sourceName(source: SourceStatus): string {
  const names = source.names;
  switch (source.kind) {
    case "interface":
      return names.length === 1 ? `interface ${names[0]}` : `interfaces ${names.join(", ")}`;
    case "replay":
      return `replay of ${names.map(file).join(", ")}`;
    case "simulate":
      return "simulated home";
    case "zeek":
      return `Zeek logs in ${names.join(", ")}`;
    case "eve":
      return `Suricata's ${names.map(file).join(", ")}`;
    case "none":
      return "nothing is watched";
  }
}

/** Whether it tells of flows, and not of packets. */
export function isLog(source: SourceStatus): boolean {
  return source.kind === "zeek" || source.kind === "eve";
}
