/** A manager of an earlier release takes what this command line submits, or is not sent anything. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { ManagerClient } from "../client/manager-client.ts";
import { EXIT } from "./failure.ts";
import { fitToManager, joinLines, mustGiveBackups, olderManagerHint } from "./older-manager.ts";

let manager: FakeManager;
let client: ManagerClient;
beforeEach(async () => {
  manager = await FakeManager.start();
  client = new ManagerClient({ url: manager.url, secret: "s" });
});
afterEach(async () => {
  await manager.stop();
});

function answer(version: string): void {
  manager.on("GET", /^\/healthz$/, () => ({ status: 200, json: { status: "ok", version } }));
}

test("a manager of 0.1 is not told of a version of Blender that nobody asked for, nor that any will do", async () => {
  answer("0.1.0");
  for (const given of [{}, { blender: "any" }]) {
    const settings = { samples: 4, ...given };
    await fitToManager(client, { settings }, "4.5");
    expect(settings).toEqual({ samples: 4 });
  }
});

test.each([
  ["blender", { settings: { blender: "4.5" } }],
  ["strict", { settings: { strict: true } }],
  ["allow_missing", { settings: { allow_missing: ["*.png"], blender: "any" } }],
  ["retention_days", { settings: {}, retention_days: 3 }],
  ["retention_after_download_days", { settings: {}, retention_after_download_days: "forever" }],
])("a manager of 0.1 does not know %s: the submission ends, and says so", async (name, submission) => {
  answer("0.1.0");
  for (const version of ["4.5", undefined])
    await expect(fitToManager(client, structuredClone(submission), version)).rejects.toMatchObject({
      message: `this manager is older than 0.2.0: it does not know ${name}`,
      exitCode: EXIT.refused,
    });
});

test("a manager of 0.2 gets the version of the scene, unless another is named", async () => {
  answer("0.2.0");
  const [unnamed, named] = [{ strict: true }, { blender: "any" }];
  await fitToManager(client, { settings: unnamed, retention_days: 3 }, "4.5");
  await fitToManager(client, { settings: named }, "4.5");
  expect([unnamed, named]).toEqual([{ strict: true, blender: "4.5" }, { blender: "any" }]);
});

test("a task without a scene, and with nothing new in it, asks the manager nothing", async () => {
  const settings = { text: "hi" };
  await fitToManager(client, { settings, retention_days: undefined }, undefined);
  expect([settings, manager.calls]).toEqual([{ text: "hi" }, []]);
});

test("how a machine joins is told as the manager can do it", async () => {
  answer("0.1.0");
  const lines = (await joinLines(client, "tablao_join_x")).join("\n");
  expect(lines).toContain(`TABLAO_JOIN=tablao_join_x node src/cli/tablao.js worker --manager ${manager.url}`);
  expect(lines).not.toContain("join.sh");
  manager.handlers.length = 0;
  answer("0.2.0");
  expect((await joinLines(client, "tablao_join_x")).join("\n")).toContain(`${manager.url}/join.sh | TABLAO_JOIN=`);
});

test("a manager of 0.1 is not backed up in part", async () => {
  answer("0.1.0");
  await expect(mustGiveBackups(client, 0)).rejects.toThrow("older than 0.2.0: this command line cannot back it up");
  manager.handlers.length = 0;
  answer("0.2.0");
  await mustGiveBackups(client, 0);
});

test("after a refusal the release of an older manager is told, and that of no other", async () => {
  answer("0.1.0");
  expect(await olderManagerHint(client)).toContain("The manager is of release 0.1.0");
  manager.handlers.length = 0;
  answer("99.0.0");
  expect(await olderManagerHint(client)).toBeUndefined();
});
