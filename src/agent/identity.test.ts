import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeManager, foreign, problem } from "../../test/support/fake-manager.ts";
import { FOREIGN_NAMES } from "../../test/support/foreign-answers.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { WORKER_VIEW } from "../../test/support/worker-view.ts";
import { CannotStart, register, readIdentity, writeIdentity, type Registration } from "./identity.ts";
import { checkWorkerOptions } from "./options.ts";
import { identityOf } from "../client/process-stat.ts";
import { lockName } from "./name-lock.ts";

let manager: FakeManager;
let folder: ReturnType<typeof temporaryFolder>;
let file: string;
let known: string;

beforeEach(async () => {
  known = "";
  manager = await FakeManager.start();
  folder = temporaryFolder("identity");
  file = join(folder.path, "workers", "n.json");
  manager
    .on("POST", /^\/auth\/access$/, ({ headers }) =>
      headers.authorization === `Bearer ${known}` ? undefined : problem(401, "unauthorized"),
    )
    .on("POST", /^\/workers$/, ({ headers }) => {
      if (headers.authorization?.startsWith("Bearer access-")) return { status: 200, json: { h: WORKER_VIEW } };
      if (headers.authorization !== "Bearer join") return problem(401, "unauthorized");
      known = "own-secret";
      return { status: 201, json: { h: { ...WORKER_VIEW, id: 1 }, "h#5": { ...WORKER_VIEW, secret: known } } };
    });
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

function registration(more: Partial<Registration>): Registration {
  return {
    file,
    manager: manager.url,
    join: undefined,
    report: { hostname: "h", system: "Linux 6" },
    client: { retryForMs: 0 },
    signal: new AbortController().signal,
    ...more,
  };
}

describe("the identity of a worker", () => {
  test("P9: a join token is exchanged once for a secret that only its owner can read", async () => {
    expect(await register(registration({ join: "join" }))).toMatchObject({ workerId: 5, created: true });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder.path, "workers"))).mode & 0o777).toBe(0o700);
    expect(await register(registration({}))).toMatchObject({ workerId: 5, created: false });
    expect(await register(registration({ join: "used-up", manager: undefined }))).toMatchObject({ created: false });
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({
      manager: manager.url,
      worker_id: 5,
      secret: "own-secret",
    });
  });

  test("a manager of 0.1 refuses versions of programs: the worker registers without them", async () => {
    manager.handlers.unshift(({ method, path, json }) =>
      method === "POST" && path === "/workers" && json !== undefined && "versions" in json
        ? problem(422, "invalid")
        : undefined,
    );
    const report = { hostname: "h", system: "Linux 6", programs: { blender: "4.5.15" } };
    const several = { ...report, versions: { blender: ["4.5.15", "3.4.1"] } };
    expect(await register(registration({ join: "join", report: several }))).toMatchObject({ workerId: 5 });
    expect(await register(registration({ report: several }))).toMatchObject({ workerId: 5, created: false });
    expect(manager.to(/^\/workers$/).map(({ json }) => json)).toEqual([several, report, several, report]);
  });

  test("P9: a file that others can read is refused", async () => {
    writeIdentity(file, { manager: manager.url, worker_id: 5, secret: "x" });
    await chmod(file, 0o640);
    await expect(readIdentity(file)).rejects.toThrow(/chmod 600/);
  });

  test("P9: a secret is sent only to its own manager's address", async () => {
    writeIdentity(file, { manager: "http://127.0.0.1:9", worker_id: 5, secret: "x" });
    await expect(register(registration({}))).rejects.toThrow(/another --name/);
    expect(manager.calls).toEqual([]);
  });

  test.each([
    ["unknown to its manager", "old-secret", undefined, /does not know this worker any more.*TABLAO_JOIN=TOKEN/],
    ["not registered, without a join token", undefined, undefined, /not registered yet.*TABLAO_JOIN=TOKEN/],
    ["with a join token that is none", undefined, "bad", /does not take this join token.*make a new one/],
  ])("%s: it says what to do", async (_, secret, join, why) => {
    if (secret) writeIdentity(file, { manager: manager.url, worker_id: 5, secret });
    await expect(register(registration({ join }))).rejects.toThrow(why);
  });

  test.each(FOREIGN_NAMES)("the address of another site (%s): it says that no manager answers there", async (name) => {
    manager.handlers.unshift(() => foreign(name));
    const failed = register(registration({ join: "join" }));
    await expect(failed).rejects.toThrow(CannotStart);
    await expect(failed).rejects.toThrow(/^no manager answers at http:.*is that its address\? Its answer: /);
    await expect(readIdentity(file)).resolves.toBeUndefined();
  });

  test.each([
    "401 page",
    "403 page of a firewall",
    "404 page of a route that is switched off",
    "302 to a sign-in page",
    "200 page of a hotel",
  ] as const)("a registered worker that meets a %s tries again, and stays registered", async (name) => {
    known = "own-secret";
    writeIdentity(file, { manager: manager.url, worker_id: 5, secret: known });
    let answers = 0;
    manager.handlers.unshift(() => (answers++ < 2 ? foreign(name) : undefined));
    const more = { client: { retryForMs: Infinity }, join: "used-up" };
    expect(await register(registration(more))).toMatchObject({ workerId: 5, created: false });
  });

  describe("P9: an identity that another agent uses: the state folder was copied", () => {
    const DETAIL = "another agent is at work as worker 5: it runs on render-07, and was seen 3 s ago";
    let refusals: number;
    beforeEach(() => {
      refusals = 2;
      known = "own-secret";
      writeIdentity(file, { manager: manager.url, worker_id: 5, secret: known });
      manager.handlers.unshift(({ method, path }) =>
        method === "POST" && path === "/workers" && refusals-- > 0 ? problem(409, "conflict", DETAIL) : undefined,
      );
    });

    test("it says once what to do, and goes on when the other agent is gone", async () => {
      const told: string[] = [];
      const taken = { say: (line: string) => told.push(line), retryMs: 1 };
      expect(await register(registration({ taken, join: "join" }))).toMatchObject({ workerId: 5, created: false });
      expect(told).toEqual([expect.stringMatching(/another agent .*render-07.*remove .*n\.json.*TABLAO_JOIN=TOKEN/)]);
    });

    test("nobody waits for it with --once: it ends with the same line", async () => {
      await expect(register(registration({}))).rejects.toThrow(CannotStart);
      await expect(register(registration({}))).rejects.toThrow(/another agent .*render-07.*TABLAO_JOIN=TOKEN/);
    });
  });

  test("a worker unknown to its manager, with a join token, registers anew", async () => {
    writeIdentity(file, { manager: manager.url, worker_id: 4, secret: "old-secret" });
    expect(await register(registration({ join: "join" }))).toMatchObject({ workerId: 5, created: true });
  });

  test("P10: an identity that is a folder, or holds a secret with a line break, is told with its path", async () => {
    writeIdentity(file, { manager: manager.url, worker_id: 5, secret: "own\nsecret" });
    await expect(readIdentity(file)).rejects.toThrow(CannotStart);
    await expect(readIdentity(file)).rejects.toThrow(file);
    await expect(readIdentity(file)).rejects.not.toThrow("own");
    const folderThere = join(folder.path, "folder.json");
    await mkdir(folderThere, { mode: 0o700 });
    await expect(readIdentity(folderThere)).rejects.toThrow(`${folderThere} cannot be read: it is a folder`);
  });

  test("P9: a join token that no header can hold is refused and not shown", () => {
    const checked = checkWorkerOptions({ join: "tablao_join_A\ntablao_join_B" });
    expect(checked).toMatchObject({ ok: false, error: expect.stringMatching(/^join: .*line break/) as string });
    expect(JSON.stringify(checked)).not.toContain("tablao_join");
  });

  test("an error in a broken file names the file", async () => {
    writeIdentity(file, { manager: manager.url, worker_id: 5, secret: "x" });
    await writeFile(file, "{");
    await expect(register(registration({}))).rejects.toThrow(file);
  });
});

test("only one agent runs per name; the lock of a dead process is taken over", async () => {
  const lock = join(folder.path, "n.lock");
  const release = await lockName(lock, identityOf(process.ppid));
  await expect(lockName(lock)).rejects.toThrow(/another agent \(process \d+\)/);
  release();
  // No process has this id: Linux stops at 2^22.
  await writeFile(lock, "99999999");
  (await lockName(lock))();
  await expect(stat(lock)).rejects.toThrow("ENOENT");
});
