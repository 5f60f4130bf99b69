/**
 * Ten thousand inputs in one submission, on a farm that has a million. What is asserted are counts
 * of calls: with 100 ms for each call, the time of the Worker is its longest chain of calls.
 */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { chunksOf } from "../../src/lib/chunks.ts";
import { ASKED_AT_ONCE, MAX_INPUTS } from "../../src/protocol/constants.ts";
import { missingResultSchema } from "../../src/protocol/file.ts";
import type { Env } from "../../src/rpc/env.ts";
import { ADMIN_TOKEN, ask, okJson, problem } from "./http-client.ts";
import { CountedCalls, failing, hashOfNumber, VirtualBucket } from "./input-storage.ts";

const STORED = 1_000_000;
const STEP = 97;
const CALL_MS = 100;
const MOST_CALLS = 900;
const MOST_MS = 10_000;

interface Asset {
  path: string;
  sha256: string;
  size: number;
  pieces?: boolean;
}

const bindings = env as unknown as Env;
/** Every hundredth of the inputs that are stored. */
const there = assets((i) => hashOfNumber(i * 100 * STEP));
const absent = assets((i) => hashOfNumber(i * 100 * STEP + 1));

function assets(hash: (i: number) => string): Asset[] {
  return Array.from({ length: MAX_INPUTS }, (_, i) => ({
    path: i === 0 ? "shot.blend" : `textures/t_${i}.png`,
    sha256: hash(i),
    size: 10,
  }));
}

async function post(path: string, other: Partial<Env>, json: unknown): Promise<Response> {
  const headers = { Authorization: `Bearer ${ADMIN_TOKEN}`, "Content-Type": "application/json" };
  return await ask(path, other, { method: "POST", headers, body: JSON.stringify(json) });
}

/** Which of these the manager says are missing, asked as a client asks. */
async function missingOf(
  other: Partial<Env>,
  wanted: readonly Asset[],
  lists?: ReadonlySet<string>,
): Promise<string[]> {
  const missing: string[] = [];
  for (const some of chunksOf(wanted, ASKED_AT_ONCE)) {
    const sha256 = some.map((asset) => asset.sha256);
    const asked = lists ? { piece_lists: sha256.filter((hash) => lists.has(hash)) } : {};
    const answer = await post("/assets/missing", other, { sha256, ...asked });
    missing.push(...missingResultSchema.parse(await okJson(answer, 200)).missing);
  }
  return missing;
}

async function submit(other: Partial<Env>, inputs: readonly Asset[]): Promise<Response> {
  const settings = { file: "shot.blend", frames: "1", assets: inputs };
  return await post("/tasks", other, { type: "blender_render", settings });
}

function counted(): CountedCalls {
  return new CountedCalls({ ...bindings, FILES: new VirtualBucket(STORED, STEP).bucket });
}

beforeAll(async () => {
  await bindings.HISTORY.batch([
    bindings.HISTORY.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
       INSERT INTO inputs (sha256, size, stored_ms, used_ms) SELECT printf('%064x', i * ?2), 10, ?3, ?3 FROM n`,
    ).bind(STORED, STEP, Date.now()),
    bindings.HISTORY.prepare("UPDATE inputs_fill SET complete = 1"),
  ]);
});

describe("10,000 inputs, a million stored", () => {
  test("are submitted in at most 900 calls, and less than 10 s at 100 ms a call", async () => {
    const calls = counted();
    expect(await missingOf(calls.env, there)).toEqual([]);
    await okJson(await submit(calls.env, there), 202);
    expect(calls.calls).toBeLessThanOrEqual(MOST_CALLS);
    expect(calls.chain * CALL_MS).toBeLessThan(MOST_MS);
    // The measured counts, with some room: a call for each input, or for each hundred, shows here.
    expect(calls.calls).toBeLessThan(60);
    // More would wait for each other on the platform, and the chain would be longer.
    expect(calls.most).toBeLessThanOrEqual(6);
  });

  test("of which a thousand are piece lists are submitted in as many calls as without", async () => {
    const inputs = there.map((input, i) => (i % 10 === 5 ? { ...input, size: 64_000_000, pieces: true } : input));
    const lists = inputs.filter((input) => "pieces" in input).map(({ sha256 }) => sha256);
    await bindings.HISTORY.prepare(
      `UPDATE inputs SET whole_size = 64000000, pieces = json_array(?2, ?3)
       WHERE sha256 IN (SELECT value FROM json_each(?1))`,
    )
      .bind(JSON.stringify(lists), there[0]!.sha256, there[1]!.sha256)
      .run();
    const calls = counted();
    expect(await missingOf(calls.env, inputs, new Set(lists))).toEqual([]);
    await okJson(await submit(calls.env, inputs), 202);
    expect(calls.calls).toBeLessThan(60);
    expect(calls.chain * CALL_MS).toBeLessThan(MOST_MS);
    expect(calls.d1RowsWritten).toBe(0);
    const { errors } = await problem(
      await submit(bindings, [...inputs.slice(0, 5), { ...inputs[5]!, size: 1 }]),
      422,
      "invalid",
    );
    expect(errors![0]).toMatchObject({
      field: "settings.assets.5",
      message: expect.stringContaining("64000000 bytes, not 1"),
    });
    const plain = { ...there[6]!, pieces: true };
    const refused = await problem(await submit(bindings, [there[0]!, plain]), 422, "invalid");
    expect(refused.errors![0]).toMatchObject({
      field: "settings.assets.1",
      message: expect.stringContaining("as a piece list"),
    });
  });

  test("cost two rows read for each that is there, and one for each that is not, however many are stored", async () => {
    const calls = counted();
    await missingOf(calls.env, there);
    await missingOf(calls.env, absent);
    expect(calls.d1RowsRead).toBeLessThanOrEqual(3 * MAX_INPUTS + 100);
    expect(calls.d1RowsWritten).toBe(0);
  });

  test("that are new are all missing, in as few calls", async () => {
    const calls = counted();
    expect(await missingOf(calls.env, absent)).toHaveLength(MAX_INPUTS);
    expect(calls.calls).toBeLessThan(60);
    expect(calls.chain * CALL_MS).toBeLessThan(MOST_MS);
  });

  test("P13: that cannot be looked up, because D1 is down, are answered 503 and never called missing", async () => {
    const { bucket } = new VirtualBucket(STORED, STEP);
    const down = { ...bindings, FILES: bucket, HISTORY: failing(bindings.HISTORY, "all") };
    const refused = await problem(await submit(down, there), 503, "overloaded");
    expect(refused.detail).toContain("index of inputs");
    // A question of a client is about few enough to be looked up in R2.
    expect(await missingOf(down, there)).toEqual([]);
    expect(await missingOf(down, absent.slice(0, 1_000))).toHaveLength(1_000);
  });

  test("P10: one more than a task takes is refused by the name of the list and the rule", async () => {
    const more = [...there, { path: "one-more.png", sha256: hashOfNumber(1), size: 10 }];
    const { errors } = await problem(await submit(bindings, more), 422, "invalid");
    expect(errors).toHaveLength(1);
    expect(errors![0]).toMatchObject({ field: "settings.assets", message: expect.stringContaining("at most 10000") });
  });
});
