// Requests to the server: JSON in and out, problem details as errors, the session renewed once when it has run out.

import type { Session } from "../api";

/** What the server refused, with its reason (RFC 9457), or that it could not be reached (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId: string | null = null,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export type Parameters = Record<string, string | number | boolean | null | undefined>;

/** `?a=1&b=2` of what is set. */
export function queryOf(parameters: Parameters): string {
  const set = Object.entries(parameters).filter(([, value]) => value != null && value !== "" && value !== false);
  return set.length === 0 ? "" : `?${new URLSearchParams(set.map(([name, value]) => [name, String(value)]))}`;
}

// The cookies cannot be read by scripts. That a session was begun, and until when it holds, is noted here: without a note
// nobody needs to be asked, and two windows do not renew the same session at once.
const NOTE = "lapwing.session";
const COOKIES_MS = 500;

export function noteSession(session: Session | null): void {
  if (session) localStorage.setItem(NOTE, session.expires_at);
  else localStorage.removeItem(NOTE);
}

export function notedExpiry(): Date | null {
  const noted = localStorage.getItem(NOTE);
  return noted ? new Date(noted) : null;
}

/** Called when no session can be had any more. */
let signedOut: () => void = () => {};
export function onSignedOut(callback: () => void): void {
  signedOut = callback;
}

async function problemOf(response: Response): Promise<Problem> {
  const retry = Number(response.headers.get("retry-after"));
  const id = response.headers.get("x-request-id");
  let message = response.statusText || `the server answered ${response.status}`;
  try {
    const body = await response.json();
    message = body.detail ?? body.title ?? message;
  } catch {
    // Not JSON: the status has to do.
  }
  return new Problem(response.status, message, id, Number.isFinite(retry) && retry > 0 ? retry : null);
}

async function attempt(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const form = body instanceof FormData;
  try {
    return await fetch(path, {
      method,
      signal,
      credentials: "same-origin",
      headers: body !== undefined && !form ? { "content-type": "application/json" } : {},
      body: body === undefined ? undefined : form ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "The server cannot be reached. Is lapwing serve still running?");
  }
}

let renewal: Promise<boolean> | null = null;

/** Renews the session; one request for all who wait, and for all windows where the browser has locks. */
export function renew(): Promise<boolean> {
  renewal ??= renewAlone().finally(() => (renewal = null));
  return renewal;
}

async function renewAlone(): Promise<boolean> {
  const before = localStorage.getItem(NOTE);
  if (!before) return false;
  const ask = async () => {
    const now = localStorage.getItem(NOTE);
    if (now !== before) return now !== null;
    const response = await attempt("POST", "/auth/refresh", {});
    if (response.ok) noteSession(await response.json());
    else if (response.status === 401) noteSession(null);
    else if (response.status === 409) {
      // Another window renewed it just now: its new cookies hold for this one too, as soon as the answer has come there.
      await new Promise((resolve) => setTimeout(resolve, COOKIES_MS));
      return true;
    }
    return response.ok;
  };
  return navigator.locks ? navigator.locks.request("lapwing-refresh", ask) : ask();
}

async function request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  let response = await attempt(method, path, body, signal);
  if (response.status === 401 && !path.startsWith("/auth/log") && !path.startsWith("/auth/setup")) {
    if (await renew()) response = await attempt(method, path, body, signal);
    if (response.status === 401) signedOut();
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function get<T>(path: string, parameters: Parameters = {}, signal?: AbortSignal): Promise<T> {
  return (await request("GET", path + queryOf(parameters), undefined, signal)).json();
}

export async function send<T = void>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
): Promise<T> {
  const response = await request(method, path, body);
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
