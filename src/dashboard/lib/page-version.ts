/**
 * The version of the page that runs here, and the one that the manager serves now. A deploy removes
 * the files of the version before, so a part of an open page that was not loaded yet is gone. Then
 * the page is loaded again, once for each version: a part that is missing for another reason must
 * not make it load for ever.
 */

/** What the rules need of the browser. */
export interface PageHost {
  /** The version that runs; null when unknown. */
  running(): string | null;
  /** The version that the manager serves; null when unknown. Rejects when it cannot be reached. */
  served(): Promise<string | null>;
  /** The version for which this tab was loaded again last; null when it never was. */
  reloadedFor(): string | null;
  /** Throws where a tab cannot remember anything. */
  noteReload(version: string): void;
  reload(): void;
}

/** The version in the page's HTML: the name of its script, which has a hash. */
export function versionIn(html: string): string | null {
  return /<script\b[^>]*\bsrc="(\/app\/static\/[^"]+)"/.exec(html)?.[1] ?? null;
}

const KEY = "tablao-reloaded-for";

const BROWSER: PageHost = {
  running: () => document.querySelector("script[src]")?.getAttribute("src") ?? null,
  served: async () => {
    const answer = await fetch("/app", { cache: "no-store" });
    return answer.ok ? versionIn(await answer.text()) : null;
  },
  reloadedFor: () => sessionStorage.getItem(KEY),
  noteReload: (version) => sessionStorage.setItem(KEY, version),
  reload: () => location.reload(),
};

/** The version that has replaced the running one; null when none has, or nobody can say. */
async function replacement(host: PageHost): Promise<string | null> {
  const served = await host.served().catch(() => null);
  return served === host.running() ? null : served;
}

/** Whether the manager serves another version than the one that runs. */
export async function isReplaced(host: PageHost = BROWSER): Promise<boolean> {
  return (await replacement(host)) !== null;
}

/**
 * Load a part of the page. When that fails and another version has been deployed, the page is
 * loaded again and this never settles. Rejects with the error of `load` where that would not help,
 * or was done for that version already.
 */
export async function loadPart<T>(load: () => Promise<T>, host: PageHost = BROWSER): Promise<T> {
  try {
    return await load();
  } catch (thrown) {
    const version = await replacement(host);
    if (version === null || !noted(host, version)) throw thrown;
    host.reload();
    return await new Promise(() => undefined);
  }
}

/** Write down that the page is loaded again for a version; false when it was, or if that fails. */
function noted(host: PageHost, version: string): boolean {
  try {
    if (host.reloadedFor() === version) return false;
    host.noteReload(version);
    return true;
  } catch {
    // A private window may have no storage. To load again could go on for ever.
    return false;
  }
}
