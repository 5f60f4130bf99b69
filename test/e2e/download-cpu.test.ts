/**
 * What an archive costs the runtime's processor, compared with the same bytes as plain files through
 * the same Worker. On Cloudflare this decides how large a download may be: a request that uses up
 * its CPU time is ended in the middle.
 */
import { createHash, randomFillSync } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { crc32Text } from "../../src/lib/crc32.ts";
import { receiptSchema } from "../../src/protocol/file.ts";
import { claimedSchema } from "../../src/protocol/lease.ts";
import { childrenOf, cpuMs } from "../support/cpu.ts";
import { ADMIN_TOKEN, startRuntime, type Runtime } from "../bench/runtime.ts";
import { signed } from "../bench/sign.ts";

const MIB = 1024 * 1024;
/** 256 MiB in files as large as a frame of film. */
const FILES = 32;
const FILE_BYTES = 8 * MIB;
const ROUNDS = 3;
/**
 * The most that an archive may cost, in plain passes of the same bytes. It is measured as 1.0; with
 * a script that reads the bytes and computes a CRC-32, it was 14.
 */
const MAX_RATIO = 1.5;

let runtime: Runtime;
let task: number;

beforeAll(async () => {
  runtime = await startRuntime();
  task = await newTask();
});
afterAll(async () => {
  await runtime?.stop();
});

/** A task with files, uploaded as an agent uploads them. */
async function newTask(): Promise<number> {
  const settings = { program: "x", frames: `1-${FILES}`, outputs: "f_####.exr" };
  const id = await runtime.submit({ type: "exec", settings, chunk: FILES, lease_s: 3_600 });
  const claims = { p: { role: "worker", id: 1, name: "worker:1" }, exp_ms: Date.now() + 3_600_000 };
  const authorization = `Bearer ${signed("access", claims)}`;
  const call = async (method: string, where: string, init: RequestInit): Promise<unknown> => {
    const headers = { authorization, ...(init.headers as Record<string, string>) };
    const response = await fetch(new URL(where, runtime.manager), { method, ...init, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${where} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  };
  const post = (where: string, body: object): Promise<unknown> =>
    call("POST", where, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  const claim = { key: crypto.randomUUID(), platform: "linux", epoch: 1e12 };
  const { lease } = claimedSchema.parse(await post(`/tasks/${id}/leases`, claim));
  if (!lease) throw new Error("the task gave no lease");
  const bytes = randomFillSync(Buffer.alloc(FILE_BYTES));
  const headers = {
    "tablao-grant": lease.grant,
    "tablao-sha256": createHash("sha256").update(bytes).digest("hex"),
    "tablao-crc32": crc32Text(crc32(bytes)),
  };
  const done = [];
  for (const { frame, name } of lease.plan.outputs) {
    const answer = await call("PUT", `/tasks/${id}/outputs/${name}`, { body: bytes, headers });
    done.push({ frame, seconds: 1, receipts: [receiptSchema.parse(answer).receipt] });
  }
  await post(`/tasks/${id}/leases/${lease.lease_id}/complete`, { attempt: lease.attempt, done });
  return id;
}

/** Fetch and drop a body; answers its media type and its size. */
async function drain(where: string): Promise<{ type: string | null; bytes: number }> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const response = await fetch(new URL(where, runtime.manager), { headers });
  if (!response.ok) throw new Error(`${where} answered ${response.status}: ${await response.text()}`);
  let bytes = 0;
  for await (const chunk of response.body!) bytes += chunk.length;
  return { type: response.headers.get("content-type"), bytes };
}

test("a zip and a tar of 256 MiB cost the Worker at most 1.5 times what plain files of the same bytes cost", async () => {
  const passes = {
    plain: async (): Promise<void> => {
      for (let frame = 1; frame <= FILES; frame++)
        expect(await drain(`/tasks/${task}/frames/${frame}/file`)).toMatchObject({ bytes: FILE_BYTES });
    },
    zip: async (): Promise<void> => {
      const { type, bytes } = await drain(`/tasks/${task}/zip?format=zip`);
      expect([type, bytes > FILES * FILE_BYTES]).toEqual(["application/zip", true]);
    },
    tar: async (): Promise<void> => {
      const { type, bytes } = await drain(`/tasks/${task}/zip?format=tar`);
      expect([type, bytes > FILES * FILE_BYTES]).toEqual(["application/x-tar", true]);
    },
  };
  const runtimes = childrenOf(process.pid);
  const used = { plain: 0, zip: 0, tar: 0 };
  // In turns, so that all of them see the same machine. The first turn warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const pass of ["plain", "zip", "tar"] as const) {
      const before = cpuMs(runtimes);
      await passes[pass]();
      if (round > 0) used[pass] += cpuMs(runtimes) - before;
    }
  }
  const perMib = (pass: keyof typeof used): string => (used[pass] / ROUNDS / FILES / (FILE_BYTES / MIB)).toFixed(2);
  process.stderr.write(
    `CPU of the runtime: ${perMib("plain")} ms a MiB plain, ${perMib("zip")} as a zip, ${perMib("tar")} as a tar\n`,
  );
  // Else the ratio would be one of noise.
  expect(used.plain).toBeGreaterThan(200);
  expect(used.zip / used.plain).toBeLessThanOrEqual(MAX_RATIO);
  expect(used.tar / used.plain).toBeLessThanOrEqual(MAX_RATIO);
});
