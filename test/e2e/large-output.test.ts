/**
 * Outputs of more than 64 MiB: an agent's, and two whose worker names a wrong SHA-256, the same for
 * both. What counts is the list of the parts, in a download, a backup and a restore.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { ManagerClient } from "../../src/client/manager-client.ts";
import { receiptSchema } from "../../src/protocol/file.ts";
import { claimedSchema, settledSchema } from "../../src/protocol/lease.ts";
import { piecesOfParts, pieceListText } from "../../src/protocol/piece-list.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { endFarm, startAgent, startManager, submit, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { filesOf } from "../support/history.ts";

afterAll(endFarm);

const PART = 32 * 1024 * 1024;
const SIZE = 2 * PART + 1_000;
const LIE = "e".repeat(64);

const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

test("P3, P11: two outputs of 67 MB with one wrong SHA-256 are downloaded, saved and restored as what they are", async () => {
  const first = await startManager();
  const settings = JSON.stringify({ width: 16, height: 9 });
  const id = await submit(first, "--type", "demo_render", "--frames", "1-2", "--chunk", "2", "--settings", settings);
  const json = { hostname: "liar", system: "Linux" };
  const registered = await first.client.call(workerRegisteredSchema, "POST", "/workers", { json });
  const worker = new ManagerClient({ url: first.url, secret: registered["liar"]!.secret });
  const claim = { key: "liar-claim-1", platform: "linux", epoch: 0 };
  const { lease } = await worker.call(claimedSchema, "POST", `/tasks/${id}/leases`, { json: claim });
  const contents = new Map<string, Buffer>();
  const lists = new Map<string, string>();
  const done = [];
  for (const { frame, name } of lease!.plan.outputs) {
    const bytes = Buffer.alloc(SIZE, `frame ${frame} `);
    const parts = [0, 1, 2].map((i) => bytes.subarray(i * PART, (i + 1) * PART));
    const grant = { [lease!.grant_header]: lease!.grant };
    const at = `/tasks/${id}/outputs/${name}`;
    for (const [i, part] of parts.entries()) {
      const headers = { ...grant, "content-length": String(part.length), "tablao-sha256": sha256(part) };
      await worker.call(z.null(), "PUT", `${at}/parts/${i + 1}`, { headers, body: () => part });
    }
    const list = sha256(pieceListText(piecesOfParts(SIZE, parts.map(sha256))));
    const whole = { headers: { ...grant, "tablao-pieces": list }, json: { size: SIZE, sha256: LIE } };
    const { receipt } = await worker.call(receiptSchema, "POST", `${at}/assemble`, whole);
    contents.set(name, bytes);
    lists.set(name, list);
    done.push({ frame, seconds: 1, receipts: [receipt] });
  }
  const body = { attempt: lease!.attempt, done };
  const completing = `/tasks/${id}/leases/${lease!.lease_id}/complete`;
  expect((await worker.call(settledSchema, "POST", completing, { json: body })).committed).toBe(2);

  const expectRight = async (manager: Manager, to: string): Promise<void> => {
    for (const { name, sha256: named, pieces } of await filesOf(manager, id))
      expect([named, pieces]).toEqual([LIE, lists.get(name)]);
    expect(await tablao(manager, "download", String(id), to)).toMatchObject({ code: 0 });
    for (const [name, bytes] of contents) expect(readFileSync(path.join(to, name)).equals(bytes), name).toBe(true);
    // What is there and right is not fetched again.
    expect((await tablao(manager, "download", String(id), to)).stdout).toContain("0 fetched");
  };
  const folder = testFolder("lies");
  await expectRight(first, path.join(folder, "before"));
  const saved = path.join(folder, "saved");
  expect(await tablao(first, "backup", saved)).toMatchObject({ code: 0 });
  const second = await startManager({ token: first.token });
  expect(await tablao(second, "restore", saved)).toMatchObject({ code: 0 });
  await expectRight(second, path.join(folder, "after"));
});

test("P11: an agent sends an output of 70 MB in parts; it is named by their list, and downloaded as it was made", async () => {
  const manager = await startManager();
  await startAgent(manager, { name: "maker", args: ["--allow-exec"] });
  const script =
    "const made = require('crypto').randomBytes(70e6);" +
    "require('fs').writeFileSync(process.argv[1], made);" +
    "console.log('made ' + require('crypto').createHash('sha256').update(made).digest('hex'));";
  const args = ["-e", script, "{out:noise_0001.bin}"];
  const settings = { program: process.execPath, args, outputs: "noise_####.bin" };
  const id = await submit(manager, "--type", "exec", "--settings", JSON.stringify(settings));
  expect(await untilStatus(manager, id, ["completed", "failed"])).toMatchObject({ status: "completed" });

  const [, made] = /made ([0-9a-f]{64})/.exec((await tablao(manager, "logs", String(id))).stdout)!;
  const folder = path.join(testFolder("noise"), "to");
  expect(await tablao(manager, "download", String(id), folder)).toMatchObject({ code: 0 });
  const bytes = readFileSync(path.join(folder, "noise_0001.bin"));
  expect(sha256(bytes)).toBe(made);
  const parts = [0, 1, 2].map((i) => bytes.subarray(i * PART, (i + 1) * PART));
  const [file] = await filesOf(manager, id);
  expect(file).toMatchObject({
    sha256: made,
    size: 70e6,
    pieces: sha256(pieceListText(piecesOfParts(bytes.length, parts.map(sha256)))),
  });
});
