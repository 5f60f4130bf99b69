/** Submissions with very many files: what is said before anything is sent, and how long is waited. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, expect, test } from "vitest";
import { testScene } from "../../test/support/test-scene.ts";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { ManagerClient, type CallOptions } from "../client/manager-client.ts";
import { ASKED_AT_ONCE, MAX_INPUTS } from "../protocol/constants.ts";
import { addSubmit } from "./commands/submit.ts";
import { EXIT } from "./failure.ts";
import type { LocalInput } from "./inputs.ts";
import { queueTask } from "./queue-task.ts";
import { sendInputs } from "./send-inputs.ts";

let manager: FakeManager;
let folder: ReturnType<typeof temporaryFolder>;

beforeEach(async () => {
  manager = await FakeManager.start();
  folder = temporaryFolder("many-inputs");
});
afterEach(async () => {
  await manager.stop();
  folder.remove();
});

/** Files with different contents. */
function files(count: number): LocalInput[] {
  mkdirSync(join(folder.path, "cache"));
  return Array.from({ length: count }, (_, i) => {
    const name = `cache/${i}.vdb`;
    writeFileSync(join(folder.path, name), String(i));
    return { path: name, file: join(folder.path, name) };
  });
}

test("P10: more files than a task takes are refused before one is hashed or sent, also with a preset", async () => {
  files(MAX_INPUTS);
  writeFileSync(join(folder.path, "shot.blend"), testScene());
  const program = new Command("tablao").option("--manager <url>").option("--token <token>").option("--json");
  addSubmit(program);
  const scene = [join(folder.path, "shot.blend"), "--frames", "1", "--include", join(folder.path, "cache")];
  const args = ["--manager", manager.url, "--token", "t", "submit", ...scene, "--preset", "final"];
  await expect(program.parseAsync(args, { from: "user" })).rejects.toMatchObject({
    exitCode: EXIT.usage,
    message: "a task takes at most 10000 files, and these are 10001",
    hint: expect.stringContaining("Pack Resources"),
  });
  expect(manager.calls).toEqual([]);
});

test("a manager is asked about at most as many files at once as it can look up in one request", async () => {
  manager.on("POST", /^\/assets\/missing$/, () => ({ status: 200, json: { missing: [] } }));
  const client = new ManagerClient({ url: manager.url, secret: "s" });
  const sent = await sendInputs(client, files(2 * ASKED_AT_ONCE + 1), true);
  expect(sent).toMatchObject({ sentBytes: 0, known: 2 * ASKED_AT_ONCE + 1 });
  const asked = manager.to(/missing/).map(({ json }) => (json!["sha256"] as string[]).length);
  expect(asked).toEqual([ASKED_AT_ONCE, ASKED_AT_ONCE, 1]);
});

test("a submission waits as long as a manager may take that looks up each file by itself", async () => {
  const seen: CallOptions[] = [];
  const client = {
    call: async (_schema: unknown, _method: string, _path: string, options: CallOptions) => void seen.push(options),
  } as unknown as ManagerClient;
  await queueTask(client, {}, MAX_INPUTS);
  await queueTask(client, {});
  const [many, none] = seen;
  // 100 ms for each look-up, six at a time.
  expect(many!.timeoutMs).toBeGreaterThan((MAX_INPUTS / 6) * 100);
  expect(many!.retryForMs).toBeGreaterThan(60_000);
  expect([none!.timeoutMs, none!.retryForMs]).toEqual([undefined, undefined]);
});
