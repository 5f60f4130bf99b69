/** Outputs through the handlers, and the sweep of left-over files, on R2 as workerd has it. */
import { beforeAll, describe, expect, test } from "vitest";
import { signGrant, verifyReceipt } from "../../src/files/grant.ts";
import { deleteTaskObjects, sweepAttempt, sweepAttempts, sweepOutputs } from "../../src/files/sweep.ts";
import { assembleOutput, listOutputParts, putOutput, putOutputPart } from "../../src/http/routes/outputs.ts";
import { importKey } from "../../src/platform/signing-key.ts";
import { PART_BYTES, type Grant } from "../../src/protocol/file.ts";
import type { Principal } from "../../src/protocol/token.ts";
import { ARTIST, call, env, GRANT, keys, post, problem, put, SECRET, sha256, text, WORKER } from "./files-call.ts";

let key: CryptoKey;
beforeAll(async () => {
  key = await importKey(SECRET);
});

describe("outputs", () => {
  async function upload(
    bytes: Uint8Array<ArrayBuffer>,
    more: {
      grant?: Partial<Grant>;
      name?: string;
      task?: string;
      headers?: Record<string, string>;
      principal?: Principal;
    } = {},
  ) {
    const grant = await signGrant(key, { ...GRANT, ...more.grant });
    return await put(putOutput, bytes, {
      params: { id: more.task ?? "3", name: more.name ?? "f_0001.png" },
      principal: more.principal ?? WORKER,
      headers: { "Tablao-Grant-Token": grant, "Tablao-SHA256": await sha256(bytes), ...more.headers },
    });
  }

  test("P3: an upload answers a receipt that only this manager can sign, for these bytes under this attempt", async () => {
    const bytes = text("pixels");
    const response = await upload(bytes);
    const receipt = await response.json<{ receipt: string; name: string; size: number; sha256: string }>();
    const claims = { name: "f_0001.png", size: 6, sha256: await sha256(bytes) };
    expect([response.status, receipt]).toEqual([201, { ...claims, receipt: receipt.receipt }]);
    expect(await verifyReceipt(key, receipt.receipt)).toEqual({ ...claims, task: 3, attempt: 2 });
    expect(await verifyReceipt(await importKey("another secret"), receipt.receipt)).toBeNull();
    expect(await (await env.FILES.get("tasks/3/2/f_0001.png"))!.text()).toBe("pixels");
  });

  test("the receipt carries the CRC-32 that the agent sent, which must be one", async () => {
    const name = "crc.png";
    const bytes = text("pixels");
    for (const crc of ["", "0123456", "012345678", "0123456G", "0123456A", "0x123456"]) {
      const refused = await upload(bytes, { name, headers: { "Tablao-CRC32": crc } });
      expect(await problem(refused), crc).toMatchObject({ status: 422, fields: ["Tablao-CRC32"] });
    }
    expect(await keys(`tasks/3/2/${name}`)).toEqual([]);
    const stored = await upload(bytes, { name, headers: { "Tablao-CRC32": "01234567" } });
    const { receipt } = await stored.json<{ receipt: string }>();
    expect(await verifyReceipt(key, receipt)).toEqual({
      task: 3,
      attempt: 2,
      name,
      size: 6,
      sha256: await sha256(bytes),
      crc32: "01234567",
    });
  });

  test("P3: the same bytes may come again; other bytes under the same attempt and name may not", async () => {
    expect((await upload(text("first"), { name: "g.png" })).status).toBe(201);
    expect((await upload(text("first"), { name: "g.png" })).status).toBe(201);
    expect(await problem(await upload(text("other"), { name: "g.png" }))).toMatchObject({
      status: 409,
      code: "conflict",
    });
    expect(await (await env.FILES.get("tasks/3/2/g.png"))!.text()).toBe("first");
    expect((await upload(text("other"), { name: "g.png", grant: { attempt: 3 } })).status).toBe(201);
  });

  test("P9: an upload needs its own lease's grant, for this task, that has not expired", async () => {
    const bytes = text("intruder");
    const name = "h.png";
    expect(await problem(await upload(bytes, { name, grant: { exp_ms: Date.now() - 1 } }))).toMatchObject({
      status: 409,
      code: "lease_lost",
    });
    expect(await problem(await upload(bytes, { name, grant: { worker: 6 } }))).toMatchObject({ status: 403 });
    expect(await problem(await upload(bytes, { name, task: "4" }))).toMatchObject({ status: 403 });
    expect(await problem(await upload(bytes, { name, principal: { ...ARTIST, id: 5 } }))).toMatchObject({
      status: 403,
    });
    expect(await problem(await upload(bytes, { name, headers: { "Tablao-Grant-Token": "e30.AAAA" } }))).toMatchObject({
      status: 403,
    });
    const none = await put(putOutput, bytes, {
      params: { id: "3", name },
      principal: WORKER,
      headers: { "Tablao-SHA256": await sha256(bytes) },
    });
    expect(await problem(none)).toMatchObject({ status: 403, fields: ["Tablao-Grant-Token"] });
    expect([...(await keys("tasks/3/")), ...(await keys("tasks/4/"))].filter((at) => at.endsWith(name))).toEqual([]);
  });

  test("an agent up to version 0.1 sends the grant in the header of before", async () => {
    const bytes = text("from an older agent");
    const headers = { "Tablao-Grant": await signGrant(key, GRANT), "Tablao-SHA256": await sha256(bytes) };
    const stored = await put(putOutput, bytes, { params: { id: "3", name: "old.png" }, principal: WORKER, headers });
    expect(stored.status).toBe(201);
  });

  test("P10: names that are no file names, and empty files, are refused", async () => {
    for (const name of [
      "..",
      ".",
      "../4/1/x.png",
      "a/b.png",
      "a\\b",
      "con.png",
      "x\u0000.png",
      "",
      "x".repeat(201),
      "dot.",
    ]) {
      expect(await problem(await upload(text("x"), { name })), JSON.stringify(name)).toMatchObject({
        status: 422,
        code: "invalid",
      });
    }
    expect(await problem(await upload(text(""), { name: "empty.png" }))).toMatchObject({
      status: 422,
      fields: ["Content-Length"],
    });
  });

  test("large ones go in parts, under the same grant and the same rules", async () => {
    const bytes = new Uint8Array(PART_BYTES + 5).fill(9);
    const whole = { size: bytes.length, sha256: await sha256(bytes) };
    const headers = { "Tablao-Grant-Token": await signGrant(key, GRANT) };
    const params = { id: "3", name: "big.exr" };
    for (const [n, part] of [bytes.slice(0, PART_BYTES), bytes.slice(PART_BYTES)].entries()) {
      const sent = await put(putOutputPart, part, {
        params: { ...params, n: String(n + 1) },
        principal: WORKER,
        headers: { ...headers, "Tablao-SHA256": await sha256(part) },
      });
      expect(sent.status).toBe(204);
    }
    const parts = await (
      await call(listOutputParts, { params, principal: WORKER, headers })
    ).json<{ parts: { number: number }[] }>();
    expect(parts.parts.map((part) => part.number)).toEqual([1, 2]);
    for (let tries = 0; tries < 2; tries++) {
      const done = await post(assembleOutput, whole, { params, principal: WORKER, headers });
      expect(done.status).toBe(201);
      const { receipt } = await done.json<{ receipt: string }>();
      expect(await verifyReceipt(key, receipt)).toEqual({ ...whole, task: 3, attempt: 2, name: "big.exr" });
    }
    const withCrc = (crc: string) =>
      post(assembleOutput, whole, { params, principal: WORKER, headers: { ...headers, "Tablao-CRC32": crc } });
    const { receipt: also } = await (await withCrc("89abcdef")).json<{ receipt: string }>();
    expect(await verifyReceipt(key, also)).toMatchObject({ ...whole, name: "big.exr", crc32: "89abcdef" });
    expect(await problem(await withCrc("none"))).toMatchObject({ status: 422, fields: ["Tablao-CRC32"] });
    const other = await post(
      assembleOutput,
      { ...whole, sha256: "0".repeat(64) },
      { params, principal: WORKER, headers },
    );
    expect(await problem(other)).toMatchObject({ status: 409, code: "conflict" });
    expect(await problem(await call(listOutputParts, { params, principal: WORKER }))).toMatchObject({ status: 403 });
  });

  test("a superseded attempt's files are swept except the committed ones; other attempts and tasks stay", async () => {
    for (const at of [
      "tasks/8/1/keep.png",
      "tasks/8/1/drop.png",
      "tasks/8/1/large.exr",
      "parts/tasks/8/1/big.exr/u/0001-ab",
      "parts/tasks/8/1/large.exr/u/0001-ab",
      "uploads/tasks/8/1/big.exr",
      "tasks/8/11/x.png",
      "tasks/80/1/x.png",
      "parts/tasks/8/11/y/u/0001-ab",
      "uploads/tasks/8/11/y",
    ]) {
      await env.FILES.put(at, "x");
    }
    const all = async (): Promise<string[]> =>
      (await Promise.all(["tasks/8", "parts/tasks/8", "uploads/tasks/8"].map(keys))).flat();
    expect(await sweepAttempt(env.FILES, 8, 1, new Set(["keep.png", "large.exr"]))).toBe(3);
    expect(await all()).toEqual([
      "tasks/8/1/keep.png",
      "tasks/8/1/large.exr",
      "tasks/8/11/x.png",
      "tasks/80/1/x.png",
      "parts/tasks/8/1/large.exr/u/0001-ab",
      "parts/tasks/8/11/y/u/0001-ab",
      "uploads/tasks/8/11/y",
    ]);
    // One list for the files, one for their parts, one for uploads under way.
    expect(await deleteTaskObjects(env.FILES, 8, 2)).toBe(false);
    expect(await deleteTaskObjects(env.FILES, 8, 3)).toBe(true);
    expect(await all()).toEqual(["tasks/80/1/x.png"]);
  });
});

test("everything that attempts up to a given one left is swept, and later ones stay", async () => {
  for (const attempt of [1, 2, 9, 10, 11]) await env.FILES.put(`tasks/12/${attempt}/a.png`, "x");
  for (const at of ["parts/tasks/12/2/b.exr/u/0001-ab", "uploads/tasks/12/2/b.exr"]) await env.FILES.put(at, "x");
  await sweepAttempts(env.FILES, 12, 10);
  expect((await Promise.all(["tasks/12/", "parts/tasks/12/", "uploads/tasks/12/"].map(keys))).flat()).toEqual([
    "tasks/12/11/a.png",
  ]);
});

test("single outputs are swept with their parts, and no others", async () => {
  const kept = ["tasks/13/1/b.exr", "tasks/13/2/a.exr"];
  for (const at of ["tasks/13/1/a.exr", ...kept]) {
    await env.FILES.put(at, "x");
    for (const n of [1, 2]) await env.FILES.put(`parts/${at}/u/000${n}-ab`, "x");
  }
  await sweepOutputs(env.FILES, 13, ["tasks/13/1/a.exr", "tasks/13/1/a.exr.preview.jpg"]);
  expect([await keys("tasks/13/"), await keys("parts/tasks/13/")]).toEqual([
    kept,
    kept.flatMap((at) => [1, 2].map((n) => `parts/${at}/u/000${n}-ab`)),
  ]);
});
