/**
 * The model check's small worlds, and an eighth of its mutations, in two minutes. The larger worlds and all
 * mutations are in `large.test.ts`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tableIn } from "../support/doc-block.ts";
import { QUICK } from "./configurations.ts";
import * as inputs from "./inputs/configurations.ts";
import { MUTATIONS as INPUT_MUTATIONS } from "./inputs/mutations.ts";
import { MUTATIONS } from "./mutations.ts";
import { exploreAll, hunt } from "./pool.ts";
import { DOC, mutationTable, reportTable, worldRows } from "./tables.ts";

/** Only ends a hang. */
const LIMIT_MS = 1_200_000;

test(
  "P1–P6, P8, P13: in every reachable world of the lease protocol the promises hold and the task can still finish",
  async () => {
    const answers = await exploreAll(QUICK);
    const { text, broken } = reportTable(answers);
    console.log(text);
    expect(broken, text).toBe(false);
    expect(answers.flatMap(({ reports }) => reports).every((report) => report.complete && report.states > 1_000)).toBe(
      true,
    );
    expect(tableIn(DOC, "model-worlds"), "npm run model -- --write-docs").toEqual(worldRows(answers));
  },
  LIMIT_MS,
);

test(
  "every eighth deliberate fault in a guard is found",
  async () => {
    const eighth = MUTATIONS.filter((_, index) => index % 8 === 0);
    const { survivors, errors } = mutationTable(eighth, await hunt(eighth));
    expect(errors).toEqual([]);
    expect(survivors).toEqual([]);
  },
  LIMIT_MS,
);

test(
  "P14: in every reachable world of checks, uploads, tasks and sweeps, what is used or called stored is there, and what nothing uses can go",
  async () => {
    const answers = await exploreAll(inputs.QUICK, "inputs/explore.ts");
    const { text, broken } = reportTable(answers);
    console.log(text);
    expect(broken, text).toBe(false);
    expect(tableIn(DOC, "model-inputs"), "npm run model -- --write-docs").toEqual(worldRows(answers));
  },
  LIMIT_MS,
);

test(
  "every twentieth deliberate fault of the sweep is found",
  async () => {
    const twentieth = INPUT_MUTATIONS.filter((_, index) => index % 20 === 0);
    const { survivors, errors } = mutationTable(twentieth, await hunt(twentieth, inputs.HUNT, "inputs/explore.ts"));
    expect(errors).toEqual([]);
    expect(survivors).toEqual([]);
  },
  LIMIT_MS,
);

/**
 * What the object does with its storage and its alarm. `manager.ts` imitates it, because the check
 * has neither. When one of these lines changes, compare the two, then change this list.
 */
const COPIED = [
  // The committed view is written before it is read: `Manager.#transact` calls `write` first.
  "get committed(): LoadedTask | null { this.#flush(); return this.#current(); }",
  // A call is answered when the row it is in, or has seen, is written: `waits` of a worker in
  // `protocol.ts`.
  'if (this.#state.name === "pending") return { result, committed: this.#state.row.promise };',
  // What a transition changed is stored: `after.stored = memory`, or `after.pending`.
  "if (decision.changed) this.#store.flush(task.record);",
  "if (changed) return { result, committed: this.#becomePending() };",
  // The alarm is set, or left as it is: `Manager.#armed`.
  "if (atMs !== null) this.#taken = this.#set(atMs);",
  "this.#armedMs = atMs; try { await this.#storage.setAlarm(atMs);",
  // A new instance looks after the alarm, and so does every read: `Manager.evict`, `Manager.read`.
  "if (!this.#isAboutToRing()) this.arm();",
  "const task = this.#transactor.present(); this.#context.alarm.arm(); return task;",
];

test("the object's own steps are those that the model check imitates", () => {
  const folder = new URL("../../src/task/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"),
  );
  const source = [...files, "../platform/alarm.ts"]
    .map((name) => readFileSync(new URL(name, folder), "utf8").replaceAll(/\s+/g, " "))
    .join("\n");
  for (const line of COPIED) expect(source.split(line).length - 1, line).toBe(1);
});
