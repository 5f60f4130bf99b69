/**
 * The address of the page as signals, and links that are followed without a reload. A router of a
 * package would be larger than this file and would still leave query signals and `replace` to us.
 */
import { computed, signal } from "@preact/signals";
import { takeLinkToken } from "./sign-in-link.ts";

// Before anything else reads the address.
takeLinkToken();
const place = signal(location.pathname + location.search + location.hash);

/** The path without a slash at its end; `/` counts as `/app`, the farm. */
export const path = computed(() => new URL(place.value, location.origin).pathname.replace(/\/+$/, "") || "/app");
export const query = computed(() => new URL(place.value, location.origin).searchParams);

function sync(): void {
  takeLinkToken();
  place.value = location.pathname + location.search + location.hash;
}

/** Go to another view of the page. With `replace` the browser's history gets no new entry. */
export function go(to: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  sync();
  if (!replace) scrollTo(0, 0);
}

/**
 * Change the query without a new entry in the browser's history. Null or an empty text removes a
 * value.
 */
export function setQuery(values: Record<string, string | null>): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url.pathname + url.search + url.hash, true);
}

/**
 * The address of the link that was clicked, when it is one of the page's own views; null for all
 * other clicks.
 */
function ownLink(event: MouseEvent): string | null {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return null;
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return null;
  return link.pathname === "/" || link.pathname.startsWith("/app") ? link.pathname + link.search + link.hash : null;
}

/** Start to follow links and the browser's back button. */
export function startRouter(): void {
  addEventListener("popstate", sync);
  addEventListener("hashchange", sync);
  document.addEventListener("click", (event) => {
    const to = ownLink(event);
    // The browser itself follows a link to a place on the same page (the skip link).
    if (to === null || to.split("#")[0] === location.pathname + location.search) return;
    event.preventDefault();
    go(to);
  });
}

/**
 * The parameters of `/app/tasks/12` by the pattern `/app/tasks/:id`; null when it does not match.
 */
export function match(pattern: string, actual: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const given = actual.split("/");
  if (wanted.length !== given.length) return null;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index]!;
    if (part.startsWith(":")) found[part.slice(1)] = value;
    else if (part !== value) return null;
  }
  return found;
}
