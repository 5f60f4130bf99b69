/** A million frames in one task: submitted in one request, and nothing becomes slower. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { framesPageSchema, taskListSchema, taskSchema, type Frame } from "../../src/protocol/task.ts";
import { endFarm, startAgent, startManager, tablao, taskOf, type Manager } from "../support/farm.ts";
import { filesOf } from "../support/history.ts";
import { pngSize } from "../support/pictures.ts";
import { until } from "../support/wait.ts";

afterAll(endFarm);

const MILLION = 1_000_000;
const SAMPLES = 25;
/** Both tasks answer in a few milliseconds; smaller differences are noise of the machine. */
const NOISE_MS = 10;

const body = (frames: string) => ({
  type: "demo_render",
  settings: { frames, width: 16, height: 9, samples: 1 },
  order: "preview",
  paused: true,
});

async function framesAt(
  manager: Manager,
  id: number,
  query: string,
): Promise<{ frames: Frame[]; cursor: string | null }> {
  return await manager.client.call(framesPageSchema, "GET", `/tasks/${id}/frames?${query}`);
}

/**
 * The median time of the calls of each path. The paths are asked alternately, so that other load
 * affects both.
 */
async function medians(manager: Manager, paths: readonly string[]): Promise<number[]> {
  const took = paths.map((): number[] => []);
  for (let i = 0; i < SAMPLES; i++) {
    for (const [which, each] of paths.entries()) {
      const began = performance.now();
      await manager.client.call(z.unknown(), "GET", each);
      took[which]!.push(performance.now() - began);
    }
  }
  return took.map((times) => times.toSorted((a, b) => a - b)[Math.floor(SAMPLES / 2)]!);
}

/** Rows of each task, read from the databases of a manager that has stopped. */
function rowsOf(state: string): Map<number, number> {
  const files = readdirSync(state, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".sqlite"));
  const rows = new Map<number, number>();
  for (const file of files) {
    const db = new DatabaseSync(path.join(state, file), { readOnly: true });
    const tables = db
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
      .all()
      .map((row) => String(row.name));
    if (tables.includes("definition") && tables.includes("record")) {
      const { id } = JSON.parse(String(db.prepare("SELECT json FROM definition").get()?.json)) as { id: number };
      const count = (table: string): number => Number(db.prepare(`SELECT count(*) AS n FROM "${table}"`).get()?.n);
      rows.set(
        id,
        tables.reduce((sum, table) => sum + count(table), 0),
      );
    }
    db.close();
  }
  return rows;
}

test("1,000,000 frames are one request and no more rows than ten; status and pages answer as quickly, and the last frame renders", async () => {
  const manager = await startManager();
  const submit = async (frames: string): Promise<number> =>
    (await manager.client.call(taskSchema, "POST", "/tasks", { json: body(frames), retryForMs: 0 })).id;
  const small = await submit("1-10");
  const large = await submit(`1-${MILLION}`);
  expect(await taskOf(manager, large)).toMatchObject({
    status: "paused",
    frame_start: 1,
    frame_end: MILLION,
    frames: { total: MILLION, pending: MILLION, leased: 0, done: 0, failed: 0, skipped: 0 },
  });
  const sizeOf = async (id: number): Promise<number> =>
    JSON.stringify(await manager.client.call(z.unknown(), "GET", `/tasks/${id}`)).length;
  // A few longer numbers, and nothing else.
  expect((await sizeOf(large)) - (await sizeOf(small))).toBeLessThan(100);
  const { tasks } = await manager.client.call(taskListSchema, "GET", "/tasks");
  expect(tasks.map((task) => task.frames.total)).toEqual([MILLION, 10]);

  const paths = [small, large].flatMap((id) => [`/tasks/${id}`, `/tasks/${id}/frames?limit=10`]);
  const [status = 0, page = 0, largeStatus = 0, largePage = 0] = await medians(manager, paths);
  expect(largeStatus).toBeLessThan(3 * status + NOISE_MS);
  expect(largePage).toBeLessThan(3 * page + NOISE_MS);

  // The last frames, by their numbers and by the cursor, in one call each.
  const last = await framesAt(manager, large, `frames=${MILLION - 4}-${MILLION}`);
  expect(last.frames.map((frame) => frame.frame)).toEqual([999_996, 999_997, 999_998, 999_999, MILLION]);
  expect(last).toMatchObject({ cursor: null, frames: Array.from({ length: 5 }, () => ({ state: "pending" })) });
  const before = await framesAt(manager, large, `frames=${MILLION - 4}-${MILLION}&limit=2`);
  expect(before.frames.map((frame) => frame.frame)).toEqual([999_996, 999_997]);
  const rest = await framesAt(manager, large, `cursor=${before.cursor}`);
  expect(rest).toEqual({ frames: last.frames.slice(2), cursor: null });

  await manager.stop();
  const rows = rowsOf(manager.state);
  expect(rows.get(large)).toBe(rows.get(small));
  await manager.restart();

  // Preview order: the first, the last, the middle.
  await startAgent(manager, { name: "scout" });
  expect((await tablao(manager, "resume", String(large))).code).toBe(0);
  const done = async (): Promise<number[]> => (await filesOf(manager, large)).map((file) => file.frame);
  const early = await until(async () => (await done()).length >= 3 && (await done()), {
    what: "three frames are done",
  });
  expect(early).toContain(1);
  expect(early).toContain(MILLION);
  expect(early.some((frame) => Math.abs(frame - MILLION / 2) <= 1)).toBe(true);
  const file = await manager.client.send("GET", `/tasks/${large}/frames/${MILLION}/file`);
  expect(pngSize(Buffer.from(await file.arrayBuffer()))).toEqual({ width: 16, height: 9 });
  expect((await tablao(manager, "cancel", String(large))).code).toBe(0);
  const { frames, status: ended } = await taskOf(manager, large);
  expect(ended).toBe("canceled");
  expect(frames.pending + frames.leased + frames.done).toBe(MILLION);
});
