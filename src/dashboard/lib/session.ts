/** Who is signed in. The token is exchanged for a cookie; the page does not keep it. */
import { computed, signal } from "@preact/signals";
import type { Session } from "../../protocol/session.ts";
import { call, get, whenUnauthorized } from "./api.ts";
import { ApiError } from "./problem.ts";

/** undefined until the manager has answered; null when nobody is signed in. */
export const session = signal<Session | null | undefined>(undefined);

export const isAdmin = computed(() => session.value?.role === "admin");
export const maySubmit = computed(() => session.value?.role === "admin" || session.value?.role === "artist");

/** Whether the viewer may change the tasks of this owner. */
export function mayChange(owner: string): boolean {
  const who = session.value;
  return who?.role === "admin" || (who?.role === "artist" && who.owner !== "" && who.owner === owner);
}

whenUnauthorized(() => {
  if (session.value) session.value = null;
});

/**
 * Set while somebody is signed in. No script can read the cookie; without this mark the page would
 * ask for the session at every start, and a first visit would begin with an error in the console.
 */
const KEY = "tablao-signed-in";

function remember(who: Session | null): void {
  try {
    if (who) localStorage.setItem(KEY, who.role);
    else localStorage.removeItem(KEY);
  } catch {
    // A private window may have no storage. Then a reload asks for the token again.
  }
}

function mayBeSignedIn(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return true;
  }
}

session.subscribe((who) => {
  if (who !== undefined) remember(who);
});

/**
 * Ask the manager who is signed in. Throws `ApiError` unless the manager itself says who, or that
 * nobody is.
 */
export async function loadSession(): Promise<void> {
  if (!mayBeSignedIn()) {
    session.value = null;
    return;
  }
  try {
    session.value = await get<Session>("/auth/session");
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || (thrown.status !== 401 && thrown.status !== 403)) throw thrown;
    session.value = null;
  }
}

/**
 * Sign in with a token or with the token of a share link. Throws `ApiError` when the manager
 * refuses it.
 */
export async function signIn(token: string): Promise<void> {
  session.value = await call<Session>("POST", "/auth/session", { body: { token } });
}

/**
 * Whose token this is; nobody is signed in by it. Throws `ApiError`, also for a token that does not work.
 */
export async function holderOf(token: string): Promise<Session> {
  return await call<Session>("GET", "/auth/session", { token });
}

/** Whether both are surely one person. Viewers have no owner, and two may have the same name. */
export function isSamePerson(a: Session, b: Session): boolean {
  return a.role === b.role && a.owner !== "" && a.owner === b.owner;
}

export async function signOut(): Promise<void> {
  await call("DELETE", "/auth/session");
  session.value = null;
}
