/** Who is signed in. The token itself is traded for a cookie and forgotten. */
import { computed, signal } from "@preact/signals";
import type { Session } from "../../protocol/session.ts";
import { call, get, whenUnauthorized } from "./api.ts";
import { ApiError } from "./problem.ts";

/** undefined: not known yet; null: nobody. */
export const session = signal<Session | null | undefined>(undefined);

export const isAdmin = computed(() => session.value?.role === "admin");
export const maySubmit = computed(() => session.value?.role === "admin" || session.value?.role === "artist");

/** Whether we may change what this owner submitted. */
export function mayChange(owner: string): boolean {
  const who = session.value;
  return who?.role === "admin" || (who?.role === "artist" && who.owner !== "" && who.owner === owner);
}

whenUnauthorized(() => {
  if (session.value) session.value = null;
});

/** Kept while somebody is signed in, because no script can read the cookie: without one, asking would only be refused. */
const KEY = "tablao-signed-in";

function remember(who: Session | null): void {
  try {
    if (who) localStorage.setItem(KEY, who.role);
    else localStorage.removeItem(KEY);
  } catch {
    // Private windows may have no storage; then one signs in once more.
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

/** Ask the manager who we are. Throws only when it cannot be reached. */
export async function loadSession(): Promise<void> {
  if (!mayBeSignedIn()) {
    session.value = null;
    return;
  }
  try {
    session.value = await get<Session>("/auth/session");
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || thrown.status === 0 || thrown.status >= 500) throw thrown;
    session.value = null;
  }
}

/** Sign in with a token or a share link's text; a bad one throws `ApiError`. */
export async function signIn(token: string): Promise<void> {
  session.value = await call<Session>("POST", "/auth/session", { body: { token } });
}

export async function signOut(): Promise<void> {
  await call("DELETE", "/auth/session");
  session.value = null;
}
