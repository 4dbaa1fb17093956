// What devices are called: the names that people gave, by address.

import type { Device, List } from "../api";
import { get } from "./http";
import { route } from "./route.svelte";

const PAGE = 500;
const MOST_PAGES = 8;
const MOST_NAMED = 500;
const EVERY_MS = 5 * 60_000;

interface Named {
  /** The device that it is. */
  id: string;
  name: string;
}

class Names {
  private known = $state.raw<Map<string, Named>>(new Map());
  private timer: ReturnType<typeof setInterval> | undefined;

  open(): void {
    this.close();
    this.load();
    this.timer = setInterval(() => document.hidden || this.load(), EVERY_MS);
  }

  close(): void {
    clearInterval(this.timer);
    this.known = new Map();
  }

  /** Asks for the first 500 devices that have a name, the one seen last first: two that had one address share it so. */
  async load(): Promise<void> {
    const known = new Map<string, Named>();
    let named = 0;
    let cursor: string | null = null;
    try {
      for (let page = 0; page < MOST_PAGES && named < MOST_NAMED; page += 1) {
        const answer: List<Device> = await get("/api/v1/devices", { limit: PAGE, cursor });
        for (const { id, name, address, addresses } of answer.data) {
          if (!name || named >= MOST_NAMED) continue;
          named += 1;
          for (const one of [...addresses, address ?? id]) if (!known.has(one)) known.set(one, { id, name });
        }
        cursor = answer.next ?? null;
        if (!cursor) break;
      }
      this.known = known;
    } catch {
      // Addresses do as well; the next time comes.
    }
  }

  /** The device that is known under that address; an upload's addresses are those of another network. */
  of(address: string): Named | undefined {
    return route.query.job ? undefined : this.known.get(address);
  }
}

export const names = new Names();
