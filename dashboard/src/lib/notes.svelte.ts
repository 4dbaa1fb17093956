// Short notes on what was done or refused, read out by screen readers.

import { Problem } from "./http";

interface Note {
  id: number;
  text: string;
  bad: boolean;
}

export const notes = $state<Note[]>([]);
let latest = 0;

export function note(text: string, bad = false): void {
  const id = ++latest;
  notes.push({ id, text, bad });
  if (!bad) setTimeout(() => dismiss(id), 6000);
}

export function dismiss(id: number): void {
  const place = notes.findIndex((one) => one.id === id);
  if (place >= 0) notes.splice(place, 1);
}

/** What went wrong, in words for a person. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Problem)) return String(error);
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  const refused = error.status === 403 ? "Refused: " : "";
  return `${refused}${error.message}${wait}`;
}

/** Does what was asked for and says how it went; `false` when it was refused. */
export async function attempt(action: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await action();
    if (done) note(done);
    return true;
  } catch (error) {
    note(wordsOf(error), true);
    return false;
  }
}
