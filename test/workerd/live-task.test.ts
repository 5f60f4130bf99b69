/** The live socket of a task, as a page sees it. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Env } from "../../src/rpc/env.ts";
import type { TaskDO } from "../../src/task/task-do.ts";
import { taskStub } from "../../src/rpc/stubs.ts";
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import {
  CLOSE_GONE,
  CLOSE_SIGNED_OUT,
  taskMessageSchema,
  type TaskDelta,
  type TaskMessage,
} from "../../src/protocol/live.ts";
import type { Claimed, Lease, Settled } from "../../src/protocol/lease.ts";
import { TaskLive } from "../../src/task/live.ts";
import { MAX_SOCKETS_OF_LINK, MAX_SOCKETS_OF_TOKEN } from "../../src/live/feed.ts";
import { ADMIN_TOKEN, newTask, newToken, newWorker, okJson, problem, send } from "./http-client.ts";
import { watch, type Watch } from "./live-client.ts";
import { rowsWhile } from "./statements.ts";

const env = bindings as unknown as Env;
let worker: { id: number; secret: string };
let keys = 0;

beforeAll(async () => {
  worker = await newWorker("live");
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function laterBy(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

const taskOfFrames = async (frames: string, more = {}): Promise<number> =>
  await newTask(undefined, { settings: { text: "x", frames }, chunk: 2, ...more });

async function claim(id: number): Promise<Lease> {
  const json = { key: `key-live-${String(keys++).padStart(6, "0")}`, platform: "linux" };
  const claimed = (await okJson(
    await send("POST", `/tasks/${id}/leases`, { token: worker.secret, json }),
    200,
  )) as unknown as Claimed;
  return claimed.lease!;
}

async function complete(id: number, { lease_id, attempt, frames }: Lease, log?: string): Promise<Settled> {
  const list = parseFrameList(frames);
  const done = [...framesOf(list.ok ? list.value : [])].map((frame) => ({ frame, seconds: frame, receipts: [] }));
  const json = { attempt, done, log };
  return (await okJson(
    await send("POST", `/tasks/${id}/leases/${lease_id}/complete`, { token: worker.secret, json }),
    200,
  )) as unknown as Settled;
}

const act = async (id: number, json: object): Promise<void> =>
  expect((await send("PATCH", `/tasks/${id}`, { json })).status).toBe(204);

/** Have these frames rendered again, finished ones included. */
const renderAgain = async (id: number, frames: string): Promise<void> => {
  const { files_version } = await okJson(await send("GET", `/tasks/${id}`), 200);
  await act(id, { status: "requeue", frames, files_version });
};

/**
 * States by frame, as a page has them after all messages; every message is checked against its
 * schema.
 */
function statesOf(messages: TaskMessage[]): Record<number, string> {
  let states: Record<number, string> = {};
  for (const message of messages) {
    taskMessageSchema.parse(message);
    if (message.type === "snapshot") {
      states = {};
      const all = parseFrameList(message.task.frame_list);
      for (const frame of framesOf(all.ok ? all.value : [])) states[frame] = "pending";
      for (const state of ["leased", "done", "failed", "skipped"] as const) {
        for (const text of message.frames[state]) {
          const list = parseFrameList(text);
          if (!list.ok) throw new Error(list.error);
          for (const frame of framesOf(list.value)) states[frame] = state;
        }
      }
    } else {
      for (const { frame, state } of message.frames ?? []) states[frame] = state;
      for (const state of ["pending", "leased", "done", "failed", "skipped"] as const)
        for (const text of message.moved?.[state] ?? []) {
          const list = parseFrameList(text);
          if (!list.ok) throw new Error(list.error);
          for (const frame of framesOf(list.value)) states[frame] = state;
        }
    }
  }
  return states;
}

async function trueStates(id: number): Promise<Record<number, string>> {
  const { frames } = (await okJson(await send("GET", `/tasks/${id}/frames?limit=1000`), 200)) as {
    frames: { frame: number; state: string }[];
  };
  return Object.fromEntries(frames.map(({ frame, state }) => [frame, state]));
}

/** Wait until the page shows the stored states. */
async function caughtUp(id: number, page: Watch<TaskMessage>): Promise<void> {
  const wanted = JSON.stringify(await trueStates(id));
  await page.until((messages) => JSON.stringify(statesOf(messages)) === wanted, `the page of task ${id}`);
}

describe("a task's live socket", () => {
  it("shows every state that frames go through, with the fields that a grid needs", async () => {
    const id = await taskOfFrames("1-9:2,20-25", { chunk: 2 });
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    await caughtUp(id, page);
    const first = await claim(id);
    await caughtUp(id, page);
    await complete(id, first);
    await caughtUp(id, page);
    const changed = page.messages.flatMap((message) => (message.type === "delta" ? (message.frames ?? []) : []));
    expect(changed.find(({ frame, state }) => frame === 1 && state === "leased")).toMatchObject({
      worker_id: worker.id,
      attempt: 1,
      seconds: null,
    });
    expect(changed.find(({ frame, state }) => frame === 3 && state === "done")).toMatchObject({
      attempt: 1,
      seconds: 3,
      preview: false,
    });
    await act(id, { status: "skip", frames: "24-25" });
    const second = await claim(id);
    const json = { attempt: second.attempt, frames: "5", error: "Error: /home/ana/x.blend", done: [] };
    await okJson(
      await send("POST", `/tasks/${id}/leases/${second.lease_id}/fail`, { token: worker.secret, json }),
      200,
    );
    await caughtUp(id, page);
    await renderAgain(id, "1,24");
    await claim(id);
    await act(id, { status: "cancel" });
    await caughtUp(id, page);
    await act(id, { status: "requeue" });
    await act(id, { name: "renamed" });
    await caughtUp(id, page);
    await page.until((messages) => messages.at(-1)!.task?.name === "renamed", "the new name");
    const late = await watch<TaskMessage>(`/tasks/${id}/live`);
    await caughtUp(id, late);
    expect(page.messages.filter(({ type }) => type === "snapshot")).toHaveLength(1);
    const seqs = page.messages.map(({ seq }) => seq);
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
  });

  it("collects quick changes into four messages a second, made once for all pages", async () => {
    const id = await taskOfFrames("1-60", { chunk: 1 });
    const pages = await Promise.all(Array.from({ length: 50 }, () => watch<TaskMessage>(`/tasks/${id}/live`)));
    const made = vi.spyOn(TaskLive.prototype, "delta");
    const startMs = Date.now();
    for (let n = 0; n < 20; n++) await complete(id, await claim(id));
    for (const page of pages) await caughtUp(id, page);
    const allowed = Math.ceil((Date.now() - startMs) / 250) + 1;
    expect(made.mock.calls.length).toBeLessThanOrEqual(allowed);
    for (const page of pages) expect(page.messages.length).toBeLessThanOrEqual(allowed + 1);
  });

  it("sends the missed changes to a page that comes back, and a snapshot when they are not known", async () => {
    const id = await taskOfFrames("1-20");
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    await complete(id, await claim(id));
    await caughtUp(id, page);
    const { seq } = page.messages.at(-1)!;
    page.socket.close(1000);
    await page.until(() => page.closed !== null, "the end");
    const lease = await claim(id);
    const back = await watch<TaskMessage>(`/tasks/${id}/live?after=${seq}`);
    // Changes noted while no page was connected may be sent once more: only the first message has
    // the missed changes alone.
    const [missed] = await back.until((messages) => messages.length > 0, "what was missed");
    expect(missed!.type).toBe("delta");
    expect((missed as TaskDelta).frames!.map(({ frame, state }) => [frame, state])).toEqual([
      [3, "leased"],
      [4, "leased"],
    ]);
    const same = await watch<TaskMessage>(`/tasks/${id}/live?after=${back.messages.at(-1)!.seq}`);
    const [answer] = await same.until((messages) => messages.length > 0, "an answer");
    expect(answer!.type).toBe("delta");
    for (const other of [back, same]) other.socket.close(1000);
    await complete(id, lease);
    await evictDurableObject(taskStub(env, id));
    const anew = await watch<TaskMessage>(`/tasks/${id}/live?after=${answer!.seq}`);
    await caughtUp(id, anew);
    expect(anew.messages[0]!.type).toBe("snapshot");
    await problemOfQuery(id);
  });

  async function problemOfQuery(id: number): Promise<void> {
    const answer = await send("GET", `/tasks/${id}/live?after=-1`, { headers: { Upgrade: "websocket" } });
    expect(answer.status).toBe(422);
  }

  it("goes on through hibernation: the same socket, later numbers, no change lost", async () => {
    const id = await taskOfFrames("1-20");
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    await caughtUp(id, page);
    for (let n = 0; n < 3; n++) {
      const before = page.messages.at(-1)!.seq;
      await evictDurableObject(taskStub(env, id));
      await complete(id, await claim(id));
      await caughtUp(id, page);
      expect(page.messages.at(-1)!.seq).toBeGreaterThan(before);
    }
    expect(page.messages.filter(({ type }) => type === "snapshot")).toHaveLength(1);
    expect(page.closed).toBeNull();
    page.socket.send("ping");
  });

  it("sends progress with the task, and new log lines to the pages that asked for them", async () => {
    const id = await taskOfFrames("1-20");
    const [plain, logged] = [
      await watch<TaskMessage>(`/tasks/${id}/live`),
      await watch<TaskMessage>(`/tasks/${id}/live?log=1`),
    ];
    const lease = await claim(id);
    await okJson(
      await send("POST", `/tasks/${id}/leases/${lease.lease_id}/renew`, {
        token: worker.secret,
        json: { attempt: lease.attempt, progress: 0.5 },
      }),
      200,
    );
    await plain.until((messages) => messages.at(-1)?.task?.leases[0]?.progress === 0.5, "progress");
    await complete(id, lease, "first\nsecond");
    const lines = (page: Watch<TaskMessage>) =>
      page.messages.flatMap((m) => (m as TaskDelta).log ?? []).map(({ text }) => text);
    await logged.until(() => lines(logged).length > 0, "the log");
    await complete(id, await claim(id), "third");
    await logged.until(() => lines(logged).length > 1, "more of the log");
    await caughtUp(id, plain);
    expect([lines(plain), lines(logged)]).toEqual([[], ["first\nsecond", "third"]]);
  });

  it("tells agents whether the log is being followed, on a page or by reading it; otherwise lines come with renewals", async () => {
    const id = await taskOfFrames("1-20");
    const lease = await claim(id);
    const logWatched = async (): Promise<unknown> => {
      const path = `/tasks/${id}/leases/${lease.lease_id}/renew`;
      const renewed = await send("POST", path, { token: worker.secret, json: { attempt: lease.attempt } });
      return (await okJson(renewed, 200))["log_watched"];
    };
    const plain = await watch<TaskMessage>(`/tasks/${id}/live`);
    await caughtUp(id, plain);
    expect(await logWatched()).toBe(false);
    await okJson(await send("GET", `/tasks/${id}/log`), 200);
    expect(await logWatched()).toBe(true);
    laterBy(31_000);
    expect(await logWatched()).toBe(false);
    await watch<TaskMessage>(`/tasks/${id}/live?log=1`);
    expect(await logWatched()).toBe(true);
  });

  it("P9: shows a link's holder no settings, owner or errors, and ends when the link is voided", async () => {
    const id = await taskOfFrames("1-4");
    const share = (await okJson(await send("POST", `/tasks/${id}/share`, { json: {} }), 201))["token"] as string;
    const [guest, owner] = [
      await watch<TaskMessage>(`/tasks/${id}/live`, { Authorization: `Bearer ${share}` }),
      await watch<TaskMessage>(`/tasks/${id}/live`),
    ];
    const lease = await claim(id);
    const json = { attempt: lease.attempt, frames: lease.frames, error: "cannot open /secret/place", done: [] };
    await okJson(await send("POST", `/tasks/${id}/leases/${lease.lease_id}/fail`, { token: worker.secret, json }), 200);
    await owner.until((messages) => messages.at(-1)!.task?.error === "cannot open /secret/place", "the error");
    await guest.until(
      (messages) => messages.at(-1)!.type === "delta" && messages.at(-1)!.task!.errors > 0,
      "the failure",
    );
    expect(guest.messages[0]).toMatchObject({ task: { id, settings: {}, owner: "" } });
    expect(JSON.stringify(guest.messages)).not.toMatch(/secret|"text":"x"|"owner":"admin"/);
    expect((await send("DELETE", `/tasks/${id}/share`)).status).toBe(204);
    await guest.until(() => guest.closed !== null, "the end");
    expect(guest.closed!.code).toBe(CLOSE_SIGNED_OUT);
    expect(owner.closed).toBeNull();
  });

  it("P9: ends within 60 s of its token's revocation, without a further message; others go on", async () => {
    const id = await taskOfFrames("1-20");
    const [leaving, staying] = [await newToken("viewer", "leaving"), await newToken("viewer", "staying")];
    const open = async ({ token }: { token: string }) =>
      await watch<TaskMessage>(`/tasks/${id}/live`, { Authorization: `Bearer ${token}` });
    const [gone, here] = [await open(leaving), await open(staying)];
    for (const page of [gone, here]) await caughtUp(id, page);
    expect((await send("DELETE", `/tokens/${leaving.id}`)).status).toBe(204);
    laterBy(60_000);
    const before = gone.messages.length;
    await claim(id);
    await caughtUp(id, here);
    await gone.until(() => gone.closed !== null, "the end");
    expect([gone.closed!.code, gone.messages.length - before]).toEqual([CLOSE_SIGNED_OUT, 0]);
    // When a session expires, its socket ends without an answer of the registry.
    const answer = await send("POST", "/auth/session", { token: null, json: { token: staying.token } });
    const cookie = { Cookie: answer.headers.get("Set-Cookie")!.split(";")[0]!, Origin: "https://farm.example" };
    const session = await watch<TaskMessage>(`/tasks/${id}/live`, cookie);
    await caughtUp(id, session);
    laterBy(12 * 3_600_000);
    await act(id, { name: "later" });
    await session.until(() => session.closed !== null, "the end of the session");
    expect(session.closed!.code).toBe(CLOSE_SIGNED_OUT);
  });

  it("P9: the holder of a link or token cannot shut out others: its sockets are bounded, whatever sessions it buys", async () => {
    const id = await taskOfFrames("1-3");
    const path = `/tasks/${id}/live`;
    const link = async (expires_s: number): Promise<string> =>
      (await okJson(await send("POST", `/tasks/${id}/share`, { json: { expires_s } }), 201))["token"] as string;
    const open = async (headers: Record<string, string>): Promise<Response> => {
      const response = await send("GET", path, { token: null, headers: { Upgrade: "websocket", ...headers } });
      response.webSocket?.accept();
      return response;
    };
    const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
    const [greedy, other] = [await link(3_600), await link(7_200)];
    const signedIn = await send("POST", "/auth/session", { token: null, json: { token: greedy } });
    const session = { Cookie: signedIn.headers.get("Set-Cookie")!.split(";")[0]!, Origin: "https://farm.example" };
    for (let i = 0; i < MAX_SOCKETS_OF_LINK; i++)
      expect((await open(i % 2 === 0 ? bearer(greedy) : session)).status).toBe(101);
    for (const headers of [bearer(greedy), session]) {
      const { detail } = await problem(await open(headers), 503, "overloaded");
      expect(detail).toContain("with this link");
    }
    const artist = await newToken("viewer", "greedy");
    for (let i = 0; i < MAX_SOCKETS_OF_TOKEN; i++) expect((await open(bearer(artist.token))).status).toBe(101);
    await problem(await open(bearer(artist.token)), 503, "overloaded");
    for (const token of [other, ADMIN_TOKEN]) expect((await open(bearer(token))).status).toBe(101);
  });

  it("makes the snapshot of a large task once for many new pages, and each has all that changed since", async () => {
    const id = await taskOfFrames("1-20000");
    const snapshots = vi.spyOn(TaskLive.prototype, "snapshot");
    const open = async () => await watch<TaskMessage>(`/tasks/${id}/live`);
    const shows = async (page: Watch<TaskMessage>, state: string) =>
      await page.until((messages) => statesOf(messages)[2] === state, `frame 2 as ${state}`);
    const first = await open();
    await shows(first, "pending");
    const lease = await claim(id);
    const pages = [first, ...(await Promise.all(Array.from({ length: 20 }, open)))];
    for (const page of pages) await shows(page, "leased");
    await complete(id, lease);
    for (const page of [...pages, await open()]) await shows(page, "done");
    expect(snapshots).toHaveBeenCalledTimes(1);
    laterBy(10_001);
    await shows(await open(), "done");
    expect(snapshots).toHaveBeenCalledTimes(2);
  });

  it("ends with the task", async () => {
    const id = await taskOfFrames("1-2");
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    expect((await send("DELETE", `/tasks/${id}`)).status).toBe(202);
    await page.until(() => page.closed !== null, "the end");
    expect(page.closed!.code).toBe(CLOSE_GONE);
    expect((await send("GET", `/tasks/${id}/live`, { headers: { Upgrade: "websocket" } })).status).toBe(404);
  });

  it("costs lease calls no row, watched or not", async () => {
    const id = await taskOfFrames("1-40");
    const written = async (): Promise<number> => {
      const lease = await claim(id);
      return await runInDurableObject(taskStub(env, id), async (instance: TaskDO, { storage }) => {
        const done = [1, 2].map((n) => ({
          frame: Number(lease.frames.split("-")[0]) + n - 1,
          seconds: 1,
          receipts: [],
        }));
        const body = { attempt: lease.attempt, done, next: null };
        return (await rowsWhile(storage, () => instance.complete({ id: worker.id }, lease.lease_id, body))).written;
      });
    };
    await written();
    const alone = await written();
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    expect(await written()).toBe(alone);
    await caughtUp(id, page);
  });

  it("sends many frames grouped by their present state, in a few bytes", async () => {
    const id = await taskOfFrames("1-1000", { chunk: 300 });
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    const first = await claim(id);
    await caughtUp(id, page);
    expect(page.messages.at(-1)).toMatchObject({ type: "delta", moved: { leased: ["1-300"], done: [] } });
    await complete(id, first);
    await claim(id);
    await act(id, { status: "skip", frames: "900-1000" });
    await caughtUp(id, page);
    await renderAgain(id, "10-290");
    await caughtUp(id, page);
    const last = page.messages.at(-1)!;
    expect(last).toMatchObject({ type: "delta", moved: { pending: ["10-290"], previews: [] } });
    expect(last).not.toHaveProperty("frames");
    expect(page.messages.filter(({ type }) => type === "snapshot")).toHaveLength(1);
    const again = await watch<TaskMessage>(`/tasks/${id}/live?after=${page.messages[0]!.seq}`);
    await again.until((messages) => messages.length > 0, "what was missed");
    expect(again.messages[0]).toMatchObject({ type: "delta", moved: { done: ["1-9,291-300"] } });
  });

  it("sends a snapshot when more has changed than is worth naming", async () => {
    const id = await taskOfFrames("1-9000", { chunk: 5_000 });
    const page = await watch<TaskMessage>(`/tasks/${id}/live`);
    await claim(id);
    const [, second] = await page.until((messages) => messages.length > 1, "the second message");
    expect(second).toMatchObject({ type: "snapshot", frames: { leased: ["1-5000"], done: [] } });
  });
});

it("timings come in columns and pages, of done frames only", async () => {
  const id = await taskOfFrames("1-10");
  for (let n = 0; n < 3; n++) await complete(id, await claim(id));
  const first = await okJson(await send("GET", `/tasks/${id}/timings?limit=4`), 200);
  expect(first).toMatchObject({ frames: [1, 2, 3, 4], seconds: [1, 2, 3, 4], attempts: [1, 1, 2, 2] });
  expect(first["worker_ids"]).toEqual([worker.id, worker.id, worker.id, worker.id]);
  const rest = await okJson(await send("GET", `/tasks/${id}/timings?limit=4&cursor=${first["cursor"] as string}`), 200);
  expect(rest).toMatchObject({ frames: [5, 6], cursor: null });
  expect(await okJson(await send("GET", `/tasks/${id}/timings?frames=2,5`), 200)).toMatchObject({ frames: [2, 5] });
});
