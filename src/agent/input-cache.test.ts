import { rmSync } from "node:fs";
import { chmod, mkdir, readFile, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeManager, problem, sha256 } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { until } from "../../test/support/wait.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import { PART_BYTES } from "../protocol/constants.ts";
import { piecesOfParts, pieceListText } from "../protocol/piece-list.ts";
import { DOWNLOADS_IN_FLIGHT } from "../client/download.ts";
import { hashFile } from "../client/file-hash.ts";
import { InputCache, type CachedInput } from "./input-cache.ts";
import { ManagerClient } from "../client/manager-client.ts";

vi.mock("../client/file-hash.ts", { spy: true });

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;
const forever = new AbortController().signal;
const contents = new Map<string, string>();

beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
  folder = temporaryFolder("cache");
  contents.clear();
  vi.mocked(hashFile).mockClear();
  manager.on("GET", /^\/assets\//, async (call) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    const text = contents.get(call.path.slice(8));
    return text === undefined ? problem(404, "not_found") : { status: 200, bytes: Buffer.from(text) };
  });
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

function asset(text: string): CachedInput {
  contents.set(sha256(text), text);
  return { sha256: sha256(text), size: text.length, url: `/assets/${sha256(text)}` };
}

const open = (maxBytes = 1_000) => InputCache.open(join(folder.path, "cache"), maxBytes, client);
const target = (name: string) => join(folder.path, "lease", name);
const fetches = () => manager.to(/^\/assets\//).length;

describe("the input cache", () => {
  test("slots that want the same input at once share one download; later ones and later runs need none", async () => {
    const cache = await open();
    const input = asset("scene");
    await Promise.all(["a", "b", "c"].map((name) => cache.place(input, target(name), forever)));
    await cache.place(input, target("sub/d"), forever);
    await (await open()).place(input, target("e"), forever);
    expect(fetches()).toBe(1);
    for (const name of ["a", "b", "c", "sub/d", "e"]) expect(await readFile(target(name), "utf8")).toBe("scene");
  });

  test.each(["never", "if full"] as const)(
    "P12: a lease whose links are wanted %s gets a file of its own: what it does to it, no other lease gets",
    async (links) => {
      const cache = await open();
      const input = asset("scene");
      await cache.place(input, target("a"), forever, links);
      const { mtime, nlink } = await stat(target("a"));
      expect(nlink).toBe(1);
      await chmod(target("a"), 0o644);
      await writeFile(target("a"), "graff");
      await utimes(target("a"), new Date(), mtime);
      await cache.place(input, target("b"), forever, links);
      expect(await readFile(target("b"), "utf8")).toBe("scene");
      expect(fetches()).toBe(1);
    },
  );

  test("a copy of a file above 64 MiB is whole, read-only as the cached one, and never over another file", async () => {
    const bytes = Buffer.alloc(65 * 1024 ** 2, "scene");
    const hash = sha256(bytes);
    manager.handlers.unshift(({ path }) => (path === `/assets/${hash}` ? { status: 200, bytes } : undefined));
    const cache = await open(1e9);
    const input = { sha256: hash, size: bytes.length, url: `/assets/${hash}` };
    await cache.place(input, target("a"), forever);
    expect(sha256(await readFile(target("a")))).toBe(hash);
    const { mode, nlink } = await stat(target("a"));
    expect([mode & 0o777, nlink]).toEqual([0o444, 1]);
    await expect(cache.place(input, target("a"), forever)).rejects.toThrow(/EEXIST/);
    expect(sha256(await readFile(target("a")))).toBe(hash);
  });

  test("a file that was given as a link and changed is noticed by its time, and fetched again", async () => {
    const cache = await open();
    const input = asset("scene");
    await cache.place(input, target("a"), forever, "rather");
    // A clone, where the file system of the tests has them.
    const linked = (await stat(target("a"))).nlink === 2;
    await chmod(target("a"), 0o644);
    await writeFile(target("a"), "graffiti");
    await utimes(target("a"), new Date(), new Date(Date.now() + 5_000));
    await cache.place(input, target("b"), forever, "rather");
    expect(await readFile(target("b"), "utf8")).toBe("scene");
    expect(fetches()).toBe(linked ? 2 : 1);
  });

  test("the size limit holds: the inputs that were not used for longest are deleted first", async () => {
    const cache = await open(10);
    const [a, b, c] = [asset("aaaa"), asset("bbbb"), asset("cccc")];
    await cache.place(a, target("a1"), forever);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await cache.place(b, target("b1"), forever);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await cache.place(a, target("a2"), forever);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await cache.place(c, target("c1"), forever);
    expect(cache.bytes).toBe(8);
    expect((await readdir(join(folder.path, "cache"))).toSorted()).toEqual([a.sha256, c.sha256].toSorted());
    expect(await readFile(target("b1"), "utf8")).toBe("bbbb");
  });

  test("an input larger than the limit is served, and deleted when the lease is over", async () => {
    const cache = await open(3);
    await cache.place(asset("large"), target("a"), forever);
    await cache.evict("bound");
    expect(cache.bytes).toBe(0);
    expect(await readFile(target("a"), "utf8")).toBe("large");
  });

  test.each(["EBUSY", "EPERM", "EACCES"])(
    "an input that a renderer on Windows has open (%s) stays, counts, and holds up nothing; it goes the next time",
    async (code) => {
      let held: string | undefined;
      const remove = (file: string): void => {
        if (held !== undefined && file.endsWith(held)) throw Object.assign(new Error(code), { code });
        rmSync(file);
      };
      const cache = await InputCache.open(join(folder.path, "cache"), 0, client, remove);
      const [a, b] = [asset("aaaa"), asset("bb")];
      await cache.place(a, target("a"), forever);
      held = a.sha256;
      await cache.place(b, target("b"), forever);
      expect(await cache.evict("bound")).toBe(2);
      expect(cache.bytes).toBe(4);
      held = undefined;
      expect(await cache.evict("bound")).toBe(4);
      expect(cache.bytes).toBe(0);
    },
  );

  test("a lease that is lost stops waiting, and the others still get their input", async () => {
    const cache = await open();
    const input = asset("scene");
    const lost = new AbortController();
    const first = cache.place(input, target("a"), lost.signal);
    const second = cache.place(input, target("b"), forever);
    await until(() => fetches() === 1, { what: "the download began", everyMs: 1 });
    lost.abort(new Error("lost"));
    await expect(first).rejects.toThrow("lost");
    await second;
    expect(await readFile(target("b"), "utf8")).toBe("scene");
    expect(fetches()).toBe(1);
  });

  test("P9: each request goes out under the newest grant of a lease that still waits, and not of one that is over", async () => {
    const cache = await open();
    const under = (grant: () => string): CachedInput => ({ ...asset("scene"), headers: () => ({ grant: grant() }) });
    const grants = () => manager.to(/^\/assets\//).map((call) => call.headers["grant"]);
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    // The first answer is wrong, so that the download asks again.
    manager.handlers.unshift(async ({ path }) => {
      if (!path.startsWith("/assets/") || fetches() > 1) return undefined;
      await held;
      return { status: 200, bytes: Buffer.from("wrong") };
    });
    const lost = new AbortController();
    const first = cache.place(
      under(() => "first"),
      target("a"),
      lost.signal,
    );
    await until(() => fetches() === 1, { what: "the download began", everyMs: 1 });
    let newest = "second";
    // The cache reads the address when the second one joins the first one's download.
    let hasJoined = false;
    const waiting: CachedInput = {
      ...under(() => newest),
      get url() {
        hasJoined = true;
        return asset("scene").url;
      },
    };
    const second = cache.place(waiting, target("b"), forever);
    await until(() => hasJoined, { what: "the second one waits, too", everyMs: 1 });
    lost.abort(new Error("lost"));
    await expect(first).rejects.toThrow("lost");
    newest = "renewed";
    letGo();
    await second;
    expect(grants()).toEqual(["first", "renewed"]);
    expect(await readFile(target("b"), "utf8")).toBe("scene");
  });

  test("P9: a lease that wants the same content from another task does not use the other's grant, nor waits in vain", async () => {
    const cache = await open();
    const frame = (task: number): CachedInput => {
      return { ...asset("frame"), url: `/tasks/${task}/f`, headers: () => ({ grant: String(task) }) };
    };
    const held = Promise.withResolvers<void>();
    manager.handlers.unshift(async ({ path, headers }) => {
      if (path === "/tasks/1/f") await held.promise;
      if (!path.startsWith("/tasks/")) return undefined;
      return path.includes(String(headers["grant"]))
        ? { status: 200, bytes: Buffer.from("frame") }
        : problem(403, "no");
    });
    const lost = new AbortController();
    const first = cache.place(frame(1), target("a"), lost.signal);
    const second = cache.place(frame(2), target("b"), forever);
    await until(() => manager.to(/^\/tasks\/1/).length === 1, { what: "the download began", everyMs: 1 });
    lost.abort(new Error("lost"));
    await expect(first).rejects.toThrow("lost");
    await second;
    held.resolve();
    expect(await readFile(target("b"), "utf8")).toBe("frame");
  });

  test("when all waiting leases have ended, the next one that wants the input starts its download anew", async () => {
    const cache = await open();
    const input = asset("scene");
    const lost = new AbortController();
    const first = cache.place(input, target("a"), lost.signal);
    await until(() => fetches() === 1, { what: "the download began", everyMs: 1 });
    lost.abort(new Error("lost"));
    await expect(first).rejects.toThrow("lost");
    await cache.place(input, target("b"), forever);
    expect(await readFile(target("b"), "utf8")).toBe("scene");
  });

  test("a lease that waits for the work of others may end meanwhile, and no rejection is left unhandled", async () => {
    const input = asset("scene");
    // Of an earlier run: it is looked at first.
    await mkdir(join(folder.path, "cache"));
    await writeFile(join(folder.path, "cache", input.sha256), "wrong");
    const cache = await open();
    const [one, two] = [new AbortController(), new AbortController()];
    const { promise: held, reject: letGo } = Promise.withResolvers<never>();
    vi.mocked(hashFile).mockImplementationOnce(() => held);
    const first = cache.place(input, target("a"), one.signal);
    await until(() => vi.mocked(hashFile).mock.calls.length > 0, { what: "it looks", everyMs: 1 });
    one.abort(new Error("lost"));
    await expect(first).rejects.toThrow("lost");
    const second = cache.place(input, target("b"), two.signal);
    await new Promise((resolve) => setTimeout(resolve, 50));
    two.abort(new Error("stopped"));
    letGo(Object.assign(new Error("there is no such file"), { code: "ENOENT" }));
    await expect(second).rejects.toThrow("stopped");
    // The work that it had begun ends while no lease waits for it. The test runner would report an
    // unhandled rejection here.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await cache.place(input, target("c"), forever);
    expect(await readFile(target("c"), "utf8")).toBe("scene");
  });

  test.each([0, 0.2, 0.5, 0.9])(
    "a checked input whose time ends in %s ms is not read again for each lease",
    async (ms) => {
      const input = asset("scene");
      const file = join(folder.path, "cache", input.sha256);
      await mkdir(join(folder.path, "cache"));
      await writeFile(file, "scene");
      // The kernel stamps files to the nanosecond; the fraction of a millisecond depends on the
      // time of the test.
      await utimes(file, new Date(), (1_764_207_000_123 + ms) / 1_000);
      const cache = await open();
      await cache.place(input, target("a"), forever);
      vi.mocked(hashFile).mockClear();
      for (const name of ["b", "c", "d"]) await cache.place(input, target(name), forever);
      expect(hashFile).not.toHaveBeenCalled();
    },
  );

  test("a stored input is not read again for each lease", async () => {
    const cache = await open();
    const input = asset("scene");
    await cache.place(input, target("a"), forever);
    vi.mocked(hashFile).mockClear();
    for (const name of ["b", "c", "d"]) await cache.place(input, target(name), forever);
    expect(hashFile).not.toHaveBeenCalled();
  });

  test("two scenes that do not fit together, alternately and in any order: every lease gets every input", async () => {
    manager.handlers.unshift(({ path }) => {
      const text = contents.get(path.slice(8));
      return text === undefined ? undefined : { status: 200, bytes: Buffer.from(text) };
    });
    const scenes = [0, 1].map((scene) =>
      Array.from({ length: 60 }, (_, n) => asset(`scene ${scene}, file ${n}`.padEnd(20))),
    );
    const cache = await open(60 * 20 * 1.6);
    for (let lease = 0; lease < 40; lease++) {
      const [order] = fc.sample(fc.shuffledSubarray(scenes[lease % 2]!, { minLength: 60 }), {
        numRuns: 1,
        seed: lease,
      });
      await mapConcurrent(order!, DOWNLOADS_IN_FLIGHT, async (input) => {
        const to = target(`${lease}/${input.sha256}`);
        await cache.place(input, to, forever);
        expect(sha256(await readFile(to, "utf8"))).toBe(input.sha256);
      });
      await cache.evict("bound");
    }
  });

  test("an input that the manager does not have is a 404, and can be fetched later", async () => {
    const cache = await open();
    const input = asset("later");
    contents.clear();
    await expect(cache.place(input, target("a"), forever)).rejects.toMatchObject({ status: 404 });
    asset("later");
    await cache.place(input, target("a"), forever);
  });
});

describe("a file above 32 MiB in the input cache", () => {
  /** The file of these pieces, as an input; its pieces and list are on the manager. */
  function large(...parts: string[]): CachedInput {
    const list = pieceListText(parts.map((text) => ({ size: text.length, sha256: asset(text).sha256 })));
    return { ...asset(list), size: parts.join("").length, list: true };
  }

  test("is put together from its pieces; its list is another file of the same hash", async () => {
    const cache = await open();
    const input = large("one,", "two,", "one,", "end");
    const list = { ...input, list: false, size: contents.get(input.sha256)!.length };
    await Promise.all([cache.place(input, target("a"), forever), cache.place(list, target("list"), forever)]);
    await cache.place(input, target("b"), forever);
    for (const name of ["a", "b"]) expect(await readFile(target(name), "utf8")).toBe("one,two,one,end");
    expect(await readFile(target("list"), "utf8")).toBe(contents.get(input.sha256));
    expect(cache.bytes).toBe(15 + list.size);
    // A piece is asked for by the list that the task names; the list itself is not.
    const asked = manager.to(/^\/assets\//).map(({ path, headers }) => [path, headers["tablao-piece-list"]]);
    for (const [path, by] of asked) expect(by).toBe(path === `/assets/${input.sha256}` ? undefined : input.sha256);
    // The list for either, and each piece at each place.
    expect(fetches()).toBe(6);
    expect(await cache.evict("all")).toBe(15 + list.size);
    expect(await readdir(join(folder.path, "cache"))).toEqual([]);
  });

  test("of an earlier run is checked by its list before it is used, and fetched again where it is wrong", async () => {
    const input = large("aaaa", "bbbb");
    await (await open()).place(input, target("a"), forever);
    await (await open()).place(input, target("b"), forever);
    expect(fetches()).toBe(4);
    await chmod(target("a"), 0o644);
    await writeFile(target("a"), "aaaaxbbb");
    await (await open()).place(input, target("c"), forever);
    expect(await readFile(target("c"), "utf8")).toBe("aaaabbbb");
  });

  test("P11: with a list that is none, or of another size, is refused, and nothing is left of it", async () => {
    const cache = await open();
    const right = large("aaaa", "bbbb");
    for (const wrong of [
      { ...asset("no list"), list: true },
      { ...right, size: 9 },
    ])
      await expect(cache.place(wrong, target("a"), forever)).rejects.toMatchObject({ code: "bad_answer" });
    contents.set(right.sha256, contents.get(right.sha256)!.replace("4 ", "5 "));
    await expect(cache.place(right, target("a"), forever)).rejects.toMatchObject({ code: "bad_answer" });
    expect(await readdir(join(folder.path, "cache"))).toEqual([]);
    expect(cache.bytes).toBe(0);
  });

  test("P3: an output whose worker named the hash of another file does not take that file's place", async () => {
    const victim = asset("what everybody else wants");
    const bytes = Buffer.alloc(PART_BYTES + 5, "frame");
    const parts = [bytes.subarray(0, PART_BYTES), bytes.subarray(PART_BYTES)];
    const pieces = sha256(pieceListText(piecesOfParts(bytes.length, parts.map(sha256))));
    manager.handlers.unshift(({ path }) => (path === "/frame" ? { status: 200, bytes } : undefined));
    const cache = await open(2 * bytes.length);
    const frame = { sha256: victim.sha256, size: bytes.length, url: "/frame", pieces };
    await cache.place(frame, target("frame"), forever);
    await cache.place(victim, target("victim"), forever);
    expect(sha256(await readFile(target("frame")))).toBe(sha256(bytes));
    expect(await readFile(target("victim"), "utf8")).toBe("what everybody else wants");
    await expect(cache.place({ ...frame, pieces: "0".repeat(64) }, target("x"), forever)).rejects.toThrow(/wrong hash/);
  });
});
