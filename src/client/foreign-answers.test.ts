/**
 * An answer that is not the manager's is nobody's word: whatever its status, it ends no call, and
 * the same call is made again.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { FakeManager, foreign, problem, sha256, takeUploads } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { FOREIGN_ANSWERS, FOREIGN_NAMES } from "../../test/support/foreign-answers.ts";
import { downloadTo } from "./download.ts";
import { ForeignAnswer } from "./manager-answer.ts";
import { ManagerClient, ManagerError } from "./manager-client.ts";
import { uploadOutput } from "./upload.ts";

const thing = z.object({ n: z.int() });

interface Scene {
  manager: FakeManager;
  client: ManagerClient;
  /** A folder for files of the test. */
  folder: string;
  /** What was told of tries that failed, and of calls that ended. */
  failed: ManagerError[];
  ended: boolean[];
}

/** Each test has a manager of its own: most of its time is waits between tries, so they overlap. */
function withManager(run: (scene: Scene) => Promise<void>): () => Promise<void> {
  return async () => {
    const manager = await FakeManager.start();
    const folder = temporaryFolder("foreign");
    const [failed, ended]: [ManagerError[], boolean[]] = [[], []];
    const outage = {
      failed: (_call: object, error: ManagerError) => void failed.push(error),
      ended: (_call: object, answered: boolean) => void ended.push(answered),
    };
    const client = new ManagerClient({ url: manager.url, secret: "s", outage });
    try {
      await run({ manager, client, folder: folder.path, failed, ended });
    } finally {
      await manager.stop();
      folder.remove();
    }
  };
}

async function errorOf(call: Promise<unknown>): Promise<ManagerError> {
  const error: unknown = await call.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ManagerError);
  return error as ManagerError;
}

for (const name of FOREIGN_NAMES) {
  const { status } = FOREIGN_ANSWERS[name];

  test.concurrent(
    `${name}, to the trade of the secret and twice to a call: both are tried again`,
    withManager(async ({ manager, client, failed, ended }) => {
      manager.on("POST", /^\/auth\/access$/, () =>
        manager.to(/^\/auth\/access$/).length === 1 ? foreign(name) : undefined,
      );
      manager.on("POST", /^\/thing$/, () =>
        manager.to(/^\/thing$/).length <= 2 ? foreign(name) : { status: 200, json: { n: 1 } },
      );
      const json = { key: "k" };
      expect(await client.call(thing, "POST", "/thing", { json })).toEqual({ n: 1 });
      expect(manager.to(/^\/auth\/access$/)).toHaveLength(2);
      expect(manager.to(/^\/thing$/).map((call) => call.json)).toEqual([json, json, json]);
      expect(failed).toHaveLength(3);
      expect(ended).toEqual([true]);
    }),
  );

  test.concurrent(
    `${name}, to every try: the error has no status of the manager, and names what answered`,
    withManager(async ({ manager, client, ended }) => {
      manager.handlers.push(() => foreign(name));
      const error = await errorOf(client.call(thing, "GET", "/thing", { retryForMs: 0 }));
      expect(error).toBeInstanceOf(ForeignAnswer);
      expect(error).toMatchObject({ status: 0, code: "foreign", transient: true, answered: status });
      const begin = `something between this machine and ${manager.url} answered ${status} with `;
      expect(error.message.slice(0, begin.length)).toBe(begin);
      expect(ended).toEqual([false]);
    }),
  );

  test.concurrent(
    `${name}, twice to an upload: it is sent again`,
    withManager(async ({ manager, client, folder }) => {
      manager.on("PUT", /outputs/, () => (manager.to(/outputs/).length <= 2 ? foreign(name) : undefined));
      takeUploads(manager);
      const file = join(folder, "f.png");
      await writeFile(file, "picture");
      const receipt = await uploadOutput(client, file, {
        taskId: 1,
        name: "f.png",
        grant: { "tablao-grant-token": "g" },
      });
      expect(receipt).toMatchObject({ sha256: sha256("picture") });
      expect(manager.to(/outputs/)).toHaveLength(3);
    }),
  );

  test.concurrent(
    `${name}, twice to a download that is continued: the bytes that are here stay`,
    withManager(async ({ manager, client, folder }) => {
      const bytes = Buffer.from("0123456789".repeat(1_000));
      manager.on("GET", /^\/file$/, ({ headers }) => {
        if (manager.to(/^\/file$/).length <= 2) return foreign(name);
        const from = Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
        return { status: from > 0 ? 206 : 200, bytes: bytes.subarray(from) };
      });
      const file = join(folder, "input");
      await writeFile(`${file}.part`, bytes.subarray(0, 9_000));
      expect(await downloadTo(client, file, "/file", { sha256: sha256(bytes) })).toEqual({
        size: 10_000,
        received: 1_000,
      });
    }),
  );
}

test(
  "a 401 of the manager itself is its word: one fresh access token, then the refusal",
  withManager(async ({ manager, client, failed, ended }) => {
    manager.on("GET", /^\/thing$/, () => problem(401, "unauthorized", "revoked"));
    const error = await errorOf(client.call(thing, "GET", "/thing"));
    expect(error).toMatchObject({ status: 401, code: "unauthorized", message: "revoked", transient: false });
    expect(manager.to(/^\/thing$/)).toHaveLength(2);
    expect(failed).toEqual([]);
    expect(ended).toEqual([true]);
  }),
);

test(
  "Retry-After of somebody else is honoured, too",
  withManager(async ({ manager, client }) => {
    manager.on("GET", /^\/thing$/, () => ({ status: 429, bytes: Buffer.from("no"), headers: { "retry-after": "7" } }));
    expect((await errorOf(client.call(thing, "GET", "/thing", { retryForMs: 5_000 }))).retryAfterMs).toBe(7_000);
    expect(manager.to(/^\/thing$/)).toHaveLength(1);
  }),
);

test(
  "a 407, which `fetch` itself takes for no answer, is none of the manager either",
  withManager(async ({ manager, client }) => {
    manager.on("GET", /^\/thing$/, () => ({ status: 407, bytes: Buffer.from("sign in to the proxy") }));
    const error = await errorOf(client.call(thing, "GET", "/thing", { retryForMs: 0 }));
    expect(error).toMatchObject({ status: 0, transient: true });
    expect(error.message).toMatch(/cannot be reached: something on the way wants a sign-in, .* \(407\)$/);
  }),
);

test(
  "a 304 that nobody asked for is no file",
  withManager(async ({ manager, client, folder }) => {
    manager.on("GET", /^\/file$/, () => ({ status: 304 }));
    const error = await errorOf(
      downloadTo(client, join(folder, "f"), "/file", { sha256: sha256("x") }, { retryForMs: 0 }),
    );
    expect(error).toMatchObject({ code: "foreign", answered: 304 });
  }),
);

test(
  "a page in place of a file, to every try: what is here of the file stays, for the next download",
  withManager(async ({ manager, client, folder }) => {
    manager.on("GET", /^\/file$/, () => foreign("200 page of a hotel"));
    const file = join(folder, "input");
    await writeFile(`${file}.part`, "half of it");
    await errorOf(downloadTo(client, file, "/file", { sha256: sha256("x") }, { retryForMs: 0 }));
    expect(await readFile(`${file}.part`, "utf8")).toBe("half of it");
  }),
);

test(
  "a page without end in place of a refusal is not read to its end",
  withManager(async ({ manager, client }) => {
    manager.server.removeAllListeners("request");
    manager.server.on("request", (_request, response) => {
      response.writeHead(403, { "content-type": "text/html" });
      const block = "x".repeat(1024 * 1024);
      const more = (): void => void (response.destroyed || response.write(block, () => setImmediate(more)));
      more();
    });
    const error = await errorOf(client.call(thing, "GET", "/thing", { retryForMs: 0 }));
    expect(error).toMatchObject({ code: "foreign", answered: 403 });
  }),
);
