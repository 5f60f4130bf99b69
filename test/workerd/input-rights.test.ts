/**
 * P9: a worker reads an input only under a grant whose task names it (decision 027), or, as agents up
 * to 0.1, which send none, while it has a live lease of such a task.
 */
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { signGrant } from "../../src/files/grant.ts";
import { TaskDO, WorkerRegistry } from "../../src/index.ts";
import { signingKey } from "../../src/platform/signing-key.ts";
import { pieceListText } from "../../src/protocol/piece-list.ts";
import type { Env } from "../../src/rpc/env.ts";
import { callTask } from "../../src/rpc/stubs.ts";
import { claim, fresh, newRender, uploadOf } from "./api-farm.ts";
import { sha256, text } from "./files-call.ts";
import { newWorker, okJson, problem, send } from "./http-client.ts";

const env = bindings as unknown as Env;

interface Asset {
  path: string;
  sha256: string;
  size: number;
  pieces?: true;
}

let worker: { id: number; secret: string };
let other: { id: number; secret: string };
/** Stored, and named by no task. */
let foreign: Asset;

beforeAll(async () => {
  [worker, other] = [await newWorker("honest"), await newWorker("curious")];
  foreign = await stored(fresh("a film of somebody else"));
});

let asksTask: ReturnType<typeof vi.spyOn>;
let asksRegistry: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  asksTask = vi.spyOn(TaskDO.prototype, "inputsNamed");
  asksRegistry = vi.spyOn(WorkerRegistry.prototype, "tasksOfWorker");
});
afterEach(() => vi.restoreAllMocks());

async function stored(content: string): Promise<Asset> {
  const sent = await uploadOf({ grant: "" }, content);
  const hash = sent.headers!["Tablao-SHA256"]!;
  expect((await send("PUT", `/assets/${hash}`, sent)).status).toBe(201);
  return { path: `${fresh("file")}.bin`, sha256: hash, size: content.length };
}

/** A stored piece list of two pieces, and these. */
async function storedList(): Promise<{ list: Asset; pieces: Asset[] }> {
  const pieces = [await stored(fresh("first piece")), await stored(fresh("last piece"))];
  const list = pieceListText(pieces);
  const hash = await sha256(text(list));
  const headers = { "Content-Length": String(list.length) };
  expect((await send("PUT", `/assets/${hash}/pieces`, { body: list, headers })).status).toBe(201);
  const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
  return { list: { path: `${fresh("file")}.bin`, sha256: hash, size, pieces: true }, pieces };
}

async function taskWith(...assets: Asset[]): Promise<number> {
  const settings = { program: "true", args: [], frames: "1-3", assets };
  const answer = await okJson(await send("POST", "/tasks", { json: { type: "exec", settings } }), 202);
  return answer["id"] as number;
}

/** GET the asset as this worker, with a grant or without. */
async function read(
  asset: Pick<Asset, "sha256">,
  { secret }: { secret: string },
  grant?: string,
  more: Record<string, string> = {},
): Promise<Response> {
  const headers = { ...(grant !== undefined && { "Tablao-Grant-Token": grant }), ...more };
  return await send("GET", `/assets/${asset.sha256}`, { token: secret, headers });
}

async function refused(answer: Response): Promise<void> {
  await problem(answer, 403, "forbidden");
}

/** A grant as the manager signs one, for a lease that this isolate has not seen. */
async function grantOf(task: number, holder: number, exp_ms = Date.now() + 60_000): Promise<string> {
  const claims = { task, lease_id: "l", attempt: 1, worker: holder, input_task: null, exp_ms };
  return await signGrant(await signingKey(env), claims);
}

describe("P9: with a grant, a worker reads", () => {
  it("the inputs that its task names, and the task's object is not asked for any of them", async () => {
    const assets = await Promise.all([1, 2, 3, 4].map(async () => await stored(fresh("texture"))));
    const lease = await claim(worker.secret, await taskWith(...assets));
    for (const asset of assets) {
      const answer = await read(asset, worker, lease.grant);
      expect({ status: answer.status, sha256: await sha256(new Uint8Array(await answer.arrayBuffer())) }).toEqual({
        status: 200,
        sha256: asset.sha256,
      });
    }
    expect(asksTask).not.toHaveBeenCalled();
    expect(asksRegistry).not.toHaveBeenCalled();
  });

  it("no other input, stored or not, by no method and no range; and each answer is the same", async () => {
    const own = await stored(fresh("own"));
    const lease = await claim(worker.secret, await taskWith(own));
    const absent = { sha256: "f".repeat(64) };
    const details = new Set<string | undefined>();
    for (const asset of [foreign, absent]) {
      const asks: Record<string, string>[] = [{}, { Range: "bytes=0-0" }, { "If-None-Match": `"${asset.sha256}"` }];
      for (const more of asks)
        details.add((await problem(await read(asset, worker, lease.grant, more), 403, "forbidden")).detail);
      const headers = { "Tablao-Grant-Token": lease.grant };
      expect((await send("HEAD", `/assets/${asset.sha256}`, { token: worker.secret, headers })).status).toBe(403);
    }
    expect(details.size).toBe(1);
    expect(asksTask).not.toHaveBeenCalled();
  });

  it("nothing by the grant of another worker, of another task, of no manager, or of a lease that is over", async () => {
    const asset = await stored(fresh("own"));
    const task = await taskWith(asset);
    const lease = await claim(worker.secret, task);
    await refused(await read(asset, other, lease.grant));
    const elsewhere = await claim(other.secret, await newRender());
    await refused(await read(asset, other, elsewhere.grant));
    await refused(await read(asset, worker, `${lease.grant.slice(0, -2)}xx`));
    await problem(await read(asset, worker, await grantOf(task, worker.id, Date.now() - 1)), 409, "lease_lost");
    await refused(await read(asset, worker, await grantOf(999_999, worker.id)));
  });

  it("a piece by naming the list that its task names, and no foreign piece or list", async () => {
    const [mine, theirs] = [await storedList(), await storedList()];
    const lease = await claim(worker.secret, await taskWith(mine.list, await stored(fresh("scene"))));
    const by = (list: Asset | string) => ({ "Tablao-Piece-List": typeof list === "string" ? list : list.sha256 });
    expect((await read(mine.list, worker, lease.grant)).status).toBe(200);
    for (const piece of mine.pieces) {
      expect((await read(piece, worker, lease.grant, by(mine.list))).status).toBe(200);
      await refused(await read(piece, worker, lease.grant));
      await refused(await read(piece, worker, lease.grant, by(theirs.list)));
    }
    for (const piece of [...theirs.pieces, theirs.list, foreign]) {
      await refused(await read(piece, worker, lease.grant));
      await refused(await read(piece, worker, lease.grant, by(mine.list)));
      await refused(await read(piece, worker, lease.grant, by(theirs.list)));
    }
    const wrong = await problem(await read(mine.pieces[0]!, worker, lease.grant, by("../x")), 422, "invalid");
    expect(wrong.errors?.map(({ field }) => field)).toEqual(["Tablao-Piece-List"]);
  });

  it("an input that is only named as an ordinary one is no list, whatever bytes it has", async () => {
    const { list, pieces } = await storedList();
    const plain: Asset = { path: list.path, sha256: list.sha256, size: pieceListText(pieces).length };
    const lease = await claim(worker.secret, await taskWith(plain));
    await refused(await read(pieces[0]!, worker, lease.grant, { "Tablao-Piece-List": list.sha256 }));
  });

  it("where this isolate did not give the lease out: the task's object is asked once, and its lists are read once", async () => {
    const { list, pieces } = await storedList();
    const scene = await stored(fresh("scene"));
    const task = await taskWith(scene, list);
    // Claimed past this isolate's Worker.
    const claimed = await callTask(env, task, (object) =>
      object.claim({ id: worker.id }, { key: fresh("claim-key"), platform: "linux", epoch: 1e12 }),
    );
    expect(claimed.ok).toBe(true);
    const grant = await grantOf(task, worker.id);
    const reads = vi.spyOn(env.FILES, "get");
    for (let round = 0; round < 3; round++) {
      expect((await read(scene, worker, grant)).status).toBe(200);
      await refused(await read(foreign, worker, grant));
      for (const piece of pieces)
        expect((await read(piece, worker, grant, { "Tablao-Piece-List": list.sha256 })).status).toBe(200);
    }
    expect(asksTask).toHaveBeenCalledTimes(1);
    const listReads = reads.mock.calls.filter(([key]) => String(key) === `assets/${list.sha256}`);
    expect(listReads.length).toBeLessThanOrEqual(1);
  });
});

describe("P9: without a grant, as agents of 0.1, a worker reads", () => {
  it("nothing when it has no lease, although it knows the hash", async () => {
    const asset = await stored(fresh("input"));
    await taskWith(asset);
    const idle = await newWorker("idle");
    for (const wanted of [asset, foreign, { sha256: "e".repeat(64) }]) await refused(await read(wanted, idle));
  });

  it("what a task names of which it has a live lease, also of several tasks at once, and nothing else", async () => {
    const old = await newWorker("old");
    const assets = [await stored(fresh("first")), await stored(fresh("second"))];
    const ask = async (json: object) =>
      (await okJson(await send("PATCH", `/workers/${old.id}`, { token: old.secret, json }), 200))["task_id"];
    let refuse = {};
    for (const asset of assets) {
      const task = await taskWith(asset);
      // Another worker has work of it already: then the task tells the registry of this lease seconds later.
      await claim(other.secret, task);
      expect((await send("PATCH", `/tasks/${task}`, { json: { priority: 90 } })).status).toBe(204);
      await vi.waitUntil(async () => (await ask({ status: "available", allow_exec: true, ...refuse })) === task);
      await claim(old.secret, task);
      refuse = { refused: { task_id: task, retry_after_ms: 600_000 } };
    }
    for (const asset of assets) expect((await read(asset, old)).status).toBe(200);
    await refused(await read(foreign, old));
    await refused(await read(assets[0]!, await newWorker("neighbour")));
  });

  it("nothing of a task that it was assigned and has no lease of", async () => {
    const asset = await stored(fresh("assigned only"));
    const task = await taskWith(asset);
    const assigned = await newWorker("assigned");
    vi.spyOn(WorkerRegistry.prototype, "tasksOfWorker").mockResolvedValue([task]);
    await refused(await read(asset, assigned));
    await claim(assigned.secret, task);
    expect((await read(asset, assigned)).status).toBe(200);
  });
});

describe("P9: the hashes of inputs", () => {
  it("are left out of the task as a worker sees it; people and the lease have them", async () => {
    const asset = await stored(fresh("input"));
    const task = await taskWith(asset);
    const lease = await claim(worker.secret, task);
    for (const token of [worker.secret, other.secret]) {
      const shown = await okJson(await send("GET", `/tasks/${task}`, { token }), 200);
      expect(JSON.stringify(shown)).not.toContain(asset.sha256);
      expect(shown["settings"]).toMatchObject({ program: "true", assets: [{ path: asset.path, size: asset.size }] });
      for (const rest of ["/frames", "/log", "?limit=500"]) {
        const path = rest.startsWith("?") ? `/tasks${rest}` : `/tasks/${task}${rest}`;
        expect(await (await send("GET", path, { token })).text()).not.toContain(asset.sha256);
      }
    }
    expect(await (await send("GET", `/tasks/${task}`)).text()).toContain(asset.sha256);
    expect(lease.plan.inputs.map((input) => input.sha256)).toEqual([asset.sha256]);
  });
});
