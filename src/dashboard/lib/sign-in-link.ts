/**
 * The token of a sign-in link, `/app/sign-in#TOKEN`. It is taken out of the address as soon as the
 * page sees it, before anything is asked or drawn, and is kept in memory only until the viewer has
 * answered whether to sign in with it.
 */
import { signal } from "@preact/signals";

/** The path of the link. */
export const SIGN_IN = "/app/sign-in";

/** The token of the link that was opened; null when there is none, or the viewer has answered. */
export const linkToken = signal<string | null>(null);

/** Take the token out of the address bar, and out of this entry of the browser's history. */
export function takeLinkToken(): void {
  if (location.pathname.replace(/\/+$/, "") !== SIGN_IN || location.hash.length < 2) return;
  const token = location.hash.slice(1);
  history.replaceState(null, "", SIGN_IN);
  linkToken.value = token;
}
