import { describe, expect, it } from "vitest";
import { isReplaced, loadPart, versionIn, type PageHost } from "./page-version.ts";

const OLD = "/app/static/index-old.js";
const NEW = "/app/static/index-new.js";
const gone = async (): Promise<never> => {
  throw new TypeError("Failed to fetch dynamically imported module");
};

function host(over: Partial<PageHost> & { memory?: string | null } = {}) {
  let { memory = null } = over;
  const reloads: string[] = [];
  const page: PageHost = {
    running: () => OLD,
    served: async () => NEW,
    reloadedFor: () => memory,
    noteReload: (version) => {
      memory = version;
    },
    reload: () => void reloads.push(String(memory)),
    ...over,
  };
  return { page, reloads };
}

/** What becomes of a part that is gone: an error, or nothing because the page is loaded again. */
async function outcome(page: PageHost): Promise<string> {
  const pending = new Promise<string>((resolve) => setTimeout(() => resolve("loads again"), 0));
  return await Promise.race([loadPart(gone, page).catch((thrown: Error) => thrown.message), pending]);
}

describe("loadPart", () => {
  it("answers the part, and asks nothing", async () => {
    const { page, reloads } = host({ served: gone });
    expect(await loadPart(async () => "view", page)).toBe("view");
    expect(reloads).toEqual([]);
  });

  it("loads the page again when another version has been deployed: once", async () => {
    const { page, reloads } = host();
    expect([await outcome(page), await outcome(page)]).toEqual(["loads again", (await gone().catch(String)).slice(11)]);
    expect(reloads).toEqual([NEW]);
    const newest = host({ memory: NEW, served: async () => "/app/static/index-newest.js" });
    expect([await outcome(newest.page), newest.reloads]).toEqual(["loads again", ["/app/static/index-newest.js"]]);
  });

  it.each([
    ["the version is the same", { served: async () => OLD }],
    ["the manager cannot be reached", { served: gone }],
    ["the manager does not say", { served: async () => null }],
    [
      "the tab remembers nothing",
      {
        noteReload: () => {
          throw new DOMException("denied", "SecurityError");
        },
      },
    ],
  ])("only tells the error when %s", async (_, over) => {
    const { page, reloads } = host(over);
    expect(await outcome(page)).toMatch(/^Failed to fetch/);
    expect(reloads).toEqual([]);
  });
});

it("says whether another version has been deployed", async () => {
  const answers = [host(), host({ served: async () => OLD }), host({ served: gone })].map(({ page }) =>
    isReplaced(page),
  );
  expect(await Promise.all(answers)).toEqual([true, false, false]);
});

it("finds the version in the page's HTML", () => {
  const html = `<head><link rel="icon" href="/app/static/icon-1.svg"><script type="module" crossorigin src="${NEW}"></script>`;
  expect([versionIn(html), versionIn("<h1>Sign in to the hotel</h1>")]).toEqual([NEW, null]);
});
