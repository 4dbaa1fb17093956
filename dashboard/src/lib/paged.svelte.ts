// A list that the server gives page by page.

import type { List } from "../api";
import { count } from "./format";
import { get, type Parameters, Problem } from "./http";

export class Paged<T> {
  items = $state.raw<T[]>([]);
  next = $state<string | null>(null);
  loading = $state(true);
  problem = $state<Problem | null>(null);

  private parameters: Parameters = {};
  private abort: AbortController | null = null;

  /** Where `keyOf` is given, what came on an earlier page does not come again: lists move while one leafs through them. */
  constructor(
    private readonly path: string,
    private readonly keyOf?: (item: T) => string,
  ) {}

  /** Loads the first page; an answer that is overtaken by a later question is dropped. */
  async load(parameters: Parameters = this.parameters): Promise<void> {
    this.parameters = parameters;
    await this.ask(parameters, []);
  }

  async more(): Promise<void> {
    if (this.next) await this.ask({ ...this.parameters, cursor: this.next }, this.items);
  }

  /** `12` of all, `50 or more` while there is a next page. */
  get told(): string {
    return `${count(this.items.length)}${this.next ? " or more" : ""}`;
  }

  /** Puts `item` in place of the one it is a later state of; the order stays. */
  replace(same: (item: T) => boolean, item: T): void {
    this.items = this.items.map((old) => (same(old) ? item : old));
  }

  private distinct(items: T[]): T[] {
    const keyOf = this.keyOf;
    return keyOf ? [...new Map(items.map((item) => [keyOf(item), item])).values()] : items;
  }

  private async ask(parameters: Parameters, before: T[]): Promise<void> {
    this.abort?.abort();
    const abort = new AbortController();
    this.abort = abort;
    this.loading = true;
    try {
      const page = await get<Partial<List<T>> & { data: T[] }>(this.path, parameters, abort.signal);
      this.items = this.distinct([...before, ...page.data]);
      this.next = page.next ?? null;
      this.problem = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = error instanceof Problem ? error : new Problem(0, String(error));
    }
    this.loading = false;
  }
}

/** One answer of the server, loaded and loaded again. */
export class Loaded<T> {
  value = $state.raw<T | null>(null);
  loading = $state(true);
  problem = $state<Problem | null>(null);
  private asked = 0;

  async load(path: string, parameters: Parameters = {}): Promise<void> {
    const asked = ++this.asked;
    this.loading = true;
    try {
      const value = await get<T>(path, parameters);
      if (asked !== this.asked) return;
      this.value = value;
      this.problem = null;
    } catch (error) {
      if (asked !== this.asked) return;
      this.problem = error instanceof Problem ? error : new Problem(0, String(error));
    }
    this.loading = false;
  }
}
