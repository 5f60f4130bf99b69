import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { buildFolder, packed, saysVersion, type MadeArchive } from "../../test/support/blender-archive.ts";
import { FakeManager, problem } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { until } from "../../test/support/wait.ts";
import { ManagerClient } from "../client/manager-client.ts";
import { identityOf } from "../client/process-stat.ts";
import { takeLock } from "../client/lock.ts";
import type { BlenderBuild } from "../protocol/blender-build.ts";
import { ReleaseLease } from "./release-lease.ts";
import { RendererStore, type RendererStoreOptions } from "./renderer-store.ts";

let manager: FakeManager;
let client: ManagerClient;
let folder: ReturnType<typeof temporaryFolder>;
let builds: BlenderBuild[];
let said: (string | null)[];
const archives = new Map<string, Buffer>();
const forever = new AbortController().signal;

/** Answers with the bytes of an archive, or the range that is asked for, as the manager does. */
function served(sha256: string, range: string | undefined): { status: number; bytes?: Uint8Array } {
  const bytes = archives.get(sha256);
  if (!bytes) return problem(404, "not_found") as { status: number };
  const from = range === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(range)![1]);
  if (from >= bytes.length) return problem(416, "range_not_satisfiable") as { status: number };
  return { status: from > 0 ? 206 : 200, bytes: bytes.subarray(from) };
}

beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
  folder = temporaryFolder("renderers");
  [builds, said] = [[], []];
  archives.clear();
  manager.on("GET", /^\/blender-builds$/, () => ({ status: 200, json: { builds } }));
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

/** Have the farm keep this archive. */
function keep(version: string, made: MadeArchive, change: Partial<BlenderBuild> = {}): void {
  archives.set(made.sha256, made.bytes);
  builds.push({
    version,
    platform: "linux-x64",
    sha256: made.sha256,
    bytes: made.bytes.length,
    file_name: made.name,
    added_by: "admin",
    added_ms: 1,
    ...change,
  });
}

function archive(version: string, more: Record<string, Uint8Array> = {}, says = version): MadeArchive {
  const top = path.join(folder.path, `made-${version}`, `blender-${version}-linux-x64`);
  return packed(
    buildFolder(top, saysVersion(says), more),
    path.join(folder.path, "archives"),
    `blender-${version}-linux-x64.tar.gz`,
  );
}

const dir = (): string => path.join(folder.path, "store");
async function open(change: Partial<RendererStoreOptions> = {}): Promise<RendererStore> {
  return await RendererStore.open({
    dir: dir(),
    maxBytes: 1e9,
    client,
    build: "linux-x64",
    platform: "linux",
    onActivity: (text) => said.push(text),
    onChange: () => undefined,
    log: () => undefined,
    ...change,
  });
}

const serve = (): void =>
  void manager.on("GET", /^\/blender-files\//, ({ path: url, headers }) =>
    served(url.slice("/blender-files/".length), headers.range),
  );
const fetches = () => manager.to(/^\/blender-files\//);
const reason = async (of: Promise<unknown>): Promise<ReleaseLease> => {
  const error = await of.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ReleaseLease);
  return error as ReleaseLease;
};

describe("P12: a Blender from the farm", () => {
  test("is fetched once for leases that want it at once, by all agents of a machine, and by later runs", async () => {
    serve();
    keep("4.5.3", archive("4.5.3"));
    const [one, other] = [await open(), await open()];
    const held = await Promise.all([
      one.hold("4.5", forever),
      one.hold("4.5", forever),
      other.hold("4.5", forever),
      other.hold(undefined, forever),
    ]);
    expect(held.map(({ version }) => version)).toEqual(["4.5.3", "4.5.3", "4.5.3", "4.5.3"]);
    expect(new Set(held.map(({ command }) => command[0]))).toHaveProperty("size", 1);
    expect(path.basename(held[0]!.command[0])).toBe("blender");
    const later = await open();
    expect(later.versions).toEqual(["4.5.3"]);
    await later.hold("4.5", forever);
    expect(fetches()).toHaveLength(1);
    expect(said).toContainEqual(expect.stringMatching(/^fetching Blender 4\.5\.3 \(\d+ of \d+ MB\)$/));
    expect(said.at(-1)).toBeNull();
    expect(readdirSync(dir()).filter((name) => name.endsWith(".fetch"))).toEqual([]);
  });

  test("of several, the newest patch of the minor version is fetched, for this platform only", async () => {
    serve();
    for (const version of ["4.5.3", "4.5.11", "5.0.1"]) keep(version, archive(version));
    keep("4.5.20", archive("4.5.20"), { platform: "darwin-arm64" });
    const store = await open();
    expect((await store.hold("4.5", forever)).version).toBe("4.5.11");
    expect((await reason(store.hold("3.6", forever))).message).toBe(
      "this worker has no Blender 3.6, and the farm keeps none for linux-x64",
    );
    expect(store.versions).toEqual(["4.5.11"]);
  });

  test("P13: one that breaks off goes on in the next run where it was", async () => {
    const made = archive("4.5.3", { noise: randomBytes(2_000_000) });
    keep("4.5.3", made);
    const half = Math.floor(made.bytes.length / 2);
    let tries = 0;
    manager.on("GET", /^\/blender-files\//, () => {
      if (++tries === 1) return { status: 200, bytes: made.bytes, breakAfter: half };
      return tries === 2 ? "hang up" : undefined;
    });
    const stopped = new AbortController();
    const store = await open();
    const given = store.hold("4.5", stopped.signal);
    given.catch(() => undefined);
    await until(() => tries >= 2, { what: "the connection broke" });
    stopped.abort(new Error("the agent is stopping"));
    await expect(given).rejects.toThrow("the agent is stopping");
    await until(
      () =>
        readdirSync(
          path.join(
            dir(),
            readdirSync(dir()).find((name) => name.endsWith(".fetch"))!,
          ),
        ).some((name) => name.endsWith(".part")),
      {
        what: "the half file is left",
      },
    );
    expect(store.versions).toEqual([]);
    serve();
    expect((await (await open()).hold("4.5", forever)).version).toBe("4.5.3");
    const [, from] = /^bytes=(\d+)-$/.exec(fetches().at(-1)!.headers.range!)!;
    expect(Number(from)).toBeGreaterThan(0);
    expect(Number(from)).toBeLessThanOrEqual(half);
  });

  test("a lease that stops does not break off what another one waits for", async () => {
    let answer: (() => void) | undefined;
    const made = archive("4.5.3");
    keep("4.5.3", made);
    manager.on("GET", /^\/blender-files\//, async () => {
      await new Promise<void>((resolve) => (answer = resolve));
      return { status: 200, bytes: made.bytes };
    });
    const store = await open();
    const stopped = new AbortController();
    const [first, second] = [store.hold("4.5", stopped.signal), store.hold("4.5", forever)];
    await until(() => answer !== undefined, { what: "the archive is asked for" });
    stopped.abort(new Error("stopped"));
    await expect(first).rejects.toThrow("stopped");
    answer!();
    expect((await second).version).toBe("4.5.3");
    expect(fetches()).toHaveLength(1);
  });
});

describe("P6: what cannot be used is the worker's trouble, and no frame's", () => {
  test.each<[string, (store: () => Promise<RendererStore>) => Promise<void>]>([
    [
      "another hash",
      async () => {
        const made = archive("4.5.3");
        keep("4.5.3", made);
        archives.set(made.sha256, Buffer.from(made.bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte))));
      },
    ],
    ["another version", async () => keep("4.5.3", archive("4.5.3", {}, "4.5.4"))],
    ["a program that does not start", async () => keep("4.5.3", archive("4.5.3", {}, "'; exit 1; echo '"))],
    [
      "no Blender in it",
      async () => {
        const top = path.join(folder.path, "none", "blender");
        buildFolder(top, "");
        keep("4.5.3", packed(path.join(top, "copyright.txt"), path.join(folder.path, "archives"), "none.tar.gz"));
      },
    ],
    [
      "no archive at all",
      async () => {
        const bytes = Buffer.from("<html>error</html>");
        keep("4.5.3", { file: "", name: "b.tar.gz", bytes, sha256: createHash("sha256").update(bytes).digest("hex") });
      },
    ],
  ])("%s: it never counts, nothing of it stays, and it is not fetched again at once", async (_, make) => {
    serve();
    await make(open);
    const store = await open();
    const first = await reason(store.hold("4.5", forever));
    expect(first.message).toMatch(/^Blender 4\.5\.3 of the farm cannot be used: /);
    // Not `transfer`: that would count against the frame.
    expect([first.cause, first.declineMs > 0]).toEqual(["unable", true]);
    const times = fetches().length;
    expect((await reason(store.hold("4.5", forever))).message).toBe(first.message);
    expect(fetches()).toHaveLength(times);
    expect(store.versions).toEqual([]);
    expect(readdirSync(dir()).filter((name) => !name.endsWith(".lock"))).toEqual([]);
    expect((await open()).versions).toEqual([]);
    expect(said.at(-1)).toBeNull();
  });

  test("a build that the farm has removed meanwhile", async () => {
    serve();
    const made = archive("4.5.3");
    keep("4.5.3", made);
    archives.clear();
    const { message, cause } = await reason((await open()).hold("4.5", forever));
    expect(message).toMatch(/^Blender 4\.5\.3 could not be fetched from the farm: /);
    expect(cause).toBe("unable");
  });
});

describe("the bounded folder of Blenders", () => {
  const large = (version: string) => archive(version, { data: new Uint8Array(300_000) });
  const names = (): string[] =>
    readdirSync(dir())
      .filter((name) => name.endsWith(".json"))
      .toSorted();
  /** Make it the least recently used. */
  const old = (version: string): void => {
    const name = names().find((one) => one.startsWith(version))!;
    utimesSync(path.join(dir(), name), 1, 1);
  };

  test("the least recently used goes, one that is in use stays, and so does what other agents use", async () => {
    serve();
    for (const version of ["4.2.1", "4.5.3", "5.0.1"]) keep(version, large(version));
    const [store, neighbour] = [await open({ maxBytes: 1_000 }), await open({ maxBytes: 1_000 })];
    const first = await neighbour.hold("4.2", forever);
    const second = await store.hold("4.5", forever);
    old("4.2.1");
    await store.hold("5.0", forever);
    expect(store.versions).toEqual(["5.0.1", "4.5.3", "4.2.1"]);
    expect([existsSync(first.command[0]), existsSync(second.command[0])]).toEqual([true, true]);
    first.release();
    first.release();
    second.release();
    keep("3.6.1", large("3.6.1"));
    await store.hold("3.6", forever);
    expect(store.versions).toEqual(["5.0.1", "3.6.1"]);
    expect(existsSync(first.command[0])).toBe(false);
    // The other agent learns of it when it next wants it, and fetches it again.
    expect((await neighbour.hold("4.2", forever)).version).toBe("4.2.1");
  });

  test("what fits stays, and a lock of an agent that is gone keeps nothing", async () => {
    serve();
    for (const version of ["4.2.1", "4.5.3"]) keep(version, large(version));
    const store = await open();
    (await store.hold("4.2", forever)).release();
    (await store.hold("4.5", forever)).release();
    expect(store.versions).toEqual(["4.5.3", "4.2.1"]);
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    await once(child, "spawn");
    const name = names()
      .find((one) => one.startsWith("4.2.1"))!
      .slice(0, -".json".length);
    const lock = await takeLock(path.join(dir(), `${name}.use-gone.lock`), identityOf(child.pid!));
    expect(lock.ok).toBe(true);
    const tight = await open({ maxBytes: 1_000 });
    keep("5.0.1", large("5.0.1"));
    await tight.hold("5.0", forever);
    expect(tight.versions).toEqual(["5.0.1", "4.2.1"]);
    child.kill("SIGKILL");
    await once(child, "exit");
    keep("5.1.0", large("5.1.0"));
    await tight.hold("5.1", forever);
    expect(tight.versions).toEqual(["5.1.0", "5.0.1"]);
    if (lock.ok) lock.value.release();
  });

  test("what an agent left half done counts for nothing", async () => {
    serve();
    keep("4.5.3", archive("4.5.3"));
    const store = await open();
    const first = await store.hold("4.5", forever);
    first.release();
    const record = path.join(dir(), names()[0]!);
    const whole = readFileSync(record, "utf8");
    for (const text of ["", "{}", whole.replace(/"executable":"[^"]*"/, '"executable":"../../../bin/sh"')]) {
      writeFileSync(record, text);
      expect((await open()).versions).toEqual([]);
    }
    const again = await (await open()).hold("4.5", forever);
    expect(again.command).toEqual(first.command);
    expect(fetches()).toHaveLength(2);
    again.release();
    expect((await open()).versions).toEqual(["4.5.3"]);
    // As after a power cut.
    writeFileSync(path.join(path.dirname(first.command[0]), "copyright.txt"), "");
    expect((await open()).versions).toEqual([]);
    expect(existsSync(record)).toBe(false);
  });
});
