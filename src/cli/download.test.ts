/** `tablao download` beside another one (P11). */
import { Command } from "commander";
import { readdirSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FakeManager, sha256 } from "../../test/support/fake-manager.ts";
import { testFolder } from "../../test/support/folders.ts";
import { taskOf } from "../../test/support/task.ts";
import { addResults } from "./commands/results.ts";

const PICTURE = "a picture";
let manager: FakeManager;

beforeEach(async () => {
  manager = await FakeManager.start();
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await manager.stop();
});

async function download(dir: string): Promise<void> {
  const program = new Command("tablao").option("--manager <url>").option("--token <token>").exitOverride();
  addResults(program);
  await program.parseAsync(["--manager", manager.url, "--token", "s", "download", "7", dir], { from: "user" });
}

test("P11: a second download into the same folder is told so and changes nothing; the folder is free afterwards", async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const file = { frame: 1, attempt: 1, name: "f_0001.png", size: PICTURE.length, sha256: sha256(PICTURE) };
  manager
    .on("GET", /^\/tasks\/7$/, () => ({ status: 200, json: taskOf({ id: 7, status: "completed" }) }))
    .on("GET", /^\/tasks\/7\/files/, () => ({ status: 200, json: { files: [file], cursor: null } }))
    .on("GET", /^\/tasks\/7\/frames\/1\/file$/, async () => {
      asked.resolve();
      await go.promise;
      return { status: 200, bytes: Buffer.from(PICTURE) };
    });
  const dir = path.join(testFolder("download"), "out");
  const first = download(dir);
  await Promise.race([asked.promise, first]);
  const second = download(dir).then(
    () => "done",
    (error: Error) => error.message,
  );
  const said = await second.finally(() => go.resolve());
  expect(said).toBe(`another download, or an agent, runs in ${dir} (process ${process.pid})`);
  expect(manager.to(/file$/)).toHaveLength(1);
  await first;
  expect(readdirSync(dir)).toEqual(["f_0001.png"]);
  await download(dir);
  expect(manager.to(/file$/)).toHaveLength(1);
});
