/** P14: `tablao prune --inputs` says what it deletes, and asks the manager until it is done. */
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { ManagerClient } from "../client/manager-client.ts";
import type { UnusedInputs } from "../protocol/unused-inputs.ts";
import type { CommandContext } from "./command-line.ts";
import { addPrune } from "./commands/prune.ts";
import { pruneInputs } from "./commands/prune-inputs.ts";
import { EXIT } from "./failure.ts";

const IDLE: UnusedInputs = {
  days: 30,
  unused: { inputs: 0, bytes: 0 },
  exact: true,
  phase: "idle",
  asked_task: 0,
  deleted: { inputs: 0, bytes: 0 },
  run_deleted: { inputs: 0, bytes: 0 },
  ended_ms: null,
  deletes_after_ms: 0,
  done: true,
  wait_ms: 0,
  held: null,
};

let manager: FakeManager;
beforeEach(async () => void (manager = await FakeManager.start()));
afterEach(async () => await manager.stop());

/** Run the command against these answers; the last one is repeated. */
async function prune(
  answers: Partial<UnusedInputs>[],
  order: { days?: number; dryRun?: boolean; confirms?: (question: string) => Promise<boolean> } = {},
) {
  let at = 0;
  manager.on("POST", /^\/storage\/unused-inputs$/, () => ({
    status: 200,
    json: { ...IDLE, ...answers[Math.min(at++, answers.length - 1)] },
  }));
  const lines: string[] = [];
  const out = {
    json: false,
    width: undefined,
    line: (text: string) => void lines.push(text),
    value: vi.fn(),
    note: vi.fn(),
  };
  const client = new ManagerClient({ url: manager.url, secret: "s" });
  const waits: number[] = [];
  const sleep = async (ms: number): Promise<void> => void waits.push(ms);
  const context: CommandContext = { client, out };
  const { days, dryRun = false, confirms } = order;
  await pruneInputs(context, { days, dryRun, confirms }, sleep);
  return { lines, waits, notes: out.note.mock.calls.flat(), bodies: manager.to(/unused/).map(({ json }) => json) };
}

describe("tablao prune --inputs", () => {
  test("asks until all is done, waits as the manager says, and tells what was deleted", async () => {
    const { lines, waits, bodies } = await prune([
      { phase: "mark", asked_task: 400, done: false },
      { phase: "delete", done: false, wait_ms: 90_000 },
      { phase: "delete", done: false, deleted: { inputs: 1, bytes: 48 } },
      { deleted: { inputs: 2, bytes: 2000 } },
    ]);
    expect(lines).toEqual(["deleted 3 inputs (2.0 kB), unused for 30 days or longer"]);
    expect([waits, bodies]).toEqual([[90_000], [{}, {}, {}, {}]]);
  });

  test("with --dry-run only says what would be deleted", async () => {
    const unused = { inputs: 1, bytes: 5 };
    const { lines, bodies } = await prune([{ unused, days: 7, phase: "delete" }], { days: 7, dryRun: true });
    expect(lines).toEqual(["would delete 1 input (5 B), unused for 7 days or longer; nothing was deleted"]);
    expect(bodies).toEqual([{ dry_run: true, days: 7 }]);
  });

  test.each([
    [false, [], [{ dry_run: true }]],
    [true, ["deleted 2 inputs (5 B), unused for 30 days or longer"], [{ dry_run: true }, {}]],
  ])("says what would go and asks, and deletes only what was agreed to: %s", async (agreed, expected, calls) => {
    const asked: string[] = [];
    const confirms = async (question: string): Promise<boolean> => asked.push(question) > 0 && agreed;
    const unused = { inputs: 2, bytes: 5 };
    const answers = [{ unused, phase: "delete" as const }, { deleted: unused }];
    const { lines, notes, bodies } = await prune(answers, { confirms });
    expect(asked).toEqual(["Delete 2 inputs (5 B), unused for 30 days or longer? [y/N] "]);
    expect([lines, notes, bodies]).toEqual([expected, agreed ? [] : ["nothing was deleted"], calls]);
  });

  test("asks nothing where there is nothing to delete", async () => {
    const confirms = (): Promise<boolean> => Promise.reject(new Error("it asked"));
    const { notes, bodies } = await prune([{}], { confirms });
    expect([notes, bodies]).toEqual([["no input is unused for 30 days or longer"], [{ dry_run: true }]]);
  });

  test("does not call an earlier run's deletions its own", async () => {
    const { lines } = await prune([{ run_deleted: { inputs: 3, bytes: 2048 } }]);
    expect(lines).toEqual(["no input is unused for 30 days or longer"]);
  });

  test("fails with the reason when the manager deletes nothing", async () => {
    const held = "the first week of this farm or release ends at 2026-12-04T15:20:13.000Z";
    await expect(prune([{ held }])).rejects.toMatchObject({
      exitCode: EXIT.failed,
      message: expect.stringContaining(held),
    });
  });

  test.each([
    [["prune"], "--inputs"],
    [["prune", "--inputs"], "prune asks before it deletes, and this is no terminal"],
    [["prune", "--inputs", "--days", "6"], "from 7 to 36500"],
  ])("P10: %j is refused by the name of what is wrong", async (args, what) => {
    const program = new Command("tablao").option("--manager <url>").option("--token <token>").exitOverride();
    addPrune(program.configureOutput({ writeErr: () => undefined }));
    for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => undefined });
    await expect(
      program.parseAsync(["--manager", manager.url, "--token", "s", ...args], { from: "user" }),
    ).rejects.toThrow(what);
    expect(manager.calls).toEqual([]);
  });
});
