// Puts the licences of what the scripts are made of beside them, as those licences ask.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Plugin } from "vite";

/** The folder of the package that a module is part of, if it is of one. */
function packageOf(id: string): string | null {
  return /^.*\/node_modules\/(@[^/]+\/)?[^/]+/.exec(id.replace(/^\0/, "").split("?")[0])?.[0] ?? null;
}

function notice(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version} (${license})\n\n${file ? readFileSync(path.join(folder, file), "utf8").trim() : ""}\n`;
}

export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle() {
      const folders = [...this.getModuleIds()]
        .map(packageOf)
        .filter((folder) => folder !== null && existsSync(path.join(folder, "package.json")));
      const notices = [...new Set(folders as string[])].map(notice).sort();
      this.emitFile({
        type: "asset",
        fileName: "licenses.txt",
        source: `The dashboard's scripts contain these works.\n\n${notices.join("\n---\n\n")}`,
      });
    },
  };
}
