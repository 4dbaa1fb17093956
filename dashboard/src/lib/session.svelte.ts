// Who is signed in, and what that role may do.

import type { Role, Session } from "../api";
import { get, notedExpiry, noteSession, onSignedOut, renew, send } from "./http";

const RANK: Record<Role, number> = { viewer: 0, analyst: 1, admin: 2 };

export const session = $state<{ current: Session | null; known: boolean; ended: boolean }>({
  current: null,
  known: false,
  ended: false,
});

onSignedOut(() => {
  session.ended = session.current !== null;
  session.current = null;
  noteSession(null);
});

/** Whether the role suffices. The server decides; this only keeps controls away that it would refuse. */
export function may(role: Role): boolean {
  return session.current !== null && RANK[session.current.role] >= RANK[role];
}

function begin(started: Session): void {
  noteSession(started);
  session.current = started;
  session.ended = false;
}

/** Takes up the session that an earlier visit left, if it still holds. */
export async function resume(): Promise<void> {
  const expiry = notedExpiry();
  try {
    if (expiry && (expiry > new Date() || (await renew()))) session.current = await get<Session>("/auth/session");
  } catch {
    session.current = null;
  }
  session.known = true;
}

export async function signIn(username: string, password: string): Promise<void> {
  begin(await send<Session>("POST", "/auth/login", { username, password }));
}

export async function setUp(code: string, username: string, password: string): Promise<void> {
  begin(await send<Session>("POST", "/auth/setup", { code, username, password }));
}

export async function signOut(): Promise<void> {
  try {
    await send("POST", "/auth/logout");
  } finally {
    noteSession(null);
    session.current = null;
    session.ended = false;
  }
}
