/**
 * The model check's small worlds, and a third of its mutations, in less than a minute. The larger worlds and all
 * mutations are in `large.test.ts`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tableIn } from "../support/doc-block.ts";
import { QUICK } from "./configurations.ts";
import { MUTATIONS } from "./mutations.ts";
import { exploreAll, hunt } from "./pool.ts";
import { DOC, mutationTable, reportTable, worldRows } from "./tables.ts";

/** Only ends a hang. */
const LIMIT_MS = 1_200_000;

test(
  "P1–P6, P8: in every reachable world of the lease protocol the promises hold and the task can still finish",
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
  "every third deliberate fault in a guard is found",
  async () => {
    const third = MUTATIONS.filter((_, index) => index % 3 === 0);
    const { survivors, errors } = mutationTable(third, await hunt(third));
    expect(errors).toEqual([]);
    expect(survivors).toEqual([]);
  },
  LIMIT_MS,
);

/**
 * What the task's object does round the rules, as `manager.ts` does it. When one of these lines changes, look at both, then
 * change this list.
 */
const COPIED = [
  "if ((!result.ok || idle) && !expired) return",
  "const { result, changed } = this.#orReload(() => decide(parts, task, change));",
  "get loaded(): Loaded | null { this.#write(); return this.#current(); }",
  "this.#row = this.#gathered?.promise;",
  "await this.#takeRow(); return answer;",
  "lease.stored_ms = lease.until_ms;",
  "t.effects.idle = claimed.lease === null || !claimed.fresh;",
  "const repeated = next !== null && t.ledger.leases.claimedWith(worker.id, next.key) !== undefined;",
  "return ok({ committed: result.value.committed, claimed: next && claimIn(t, worker, next) });",
  "expire(t); t.effects.idle = true;",
  "const atMs = Math.max(dueMs, nowMs + 1);",
  "return armedMs !== null && armedMs > nowMs && armedMs <= atMs ? null : atMs;",
  "exp_ms: untilMs + SWEEP_AFTER_MS",
  "const carriedOut = new Set(sweeps.map((sweep) => JSON.stringify(sweep)));",
  "ledger.sweeps = ledger.sweeps.filter((other) => !carriedOut.has(JSON.stringify(other)));",
  "t.ledger.outranked = epoch;",
];

test("the object's own steps are those that the model check copies", () => {
  const folder = new URL("../../src/task/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"),
  );
  const source = [...files, "../http/grants.ts", "../platform/alarm.ts"]
    .map((name) => readFileSync(new URL(name, folder), "utf8").replaceAll(/\s+/g, " "))
    .join("\n");
  for (const line of COPIED) expect(source.split(line).length - 1, line).toBe(1);
});
