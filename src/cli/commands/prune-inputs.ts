/**
 * `tablao prune --inputs`: has the manager delete inputs that nothing uses. The manager does a part at
 * a time, so the command asks again until it is done. To stop it does no harm: the next run, or the
 * next night, goes on.
 */
import { unusedInputsSchema, type UnusedInputs } from "../../protocol/unused-inputs.ts";
import type { CommandContext } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { bytes, count, instant } from "../text.ts";

export interface PruneInputs {
  /** Undefined: the farm's setting. */
  days: number | undefined;
  dryRun: boolean;
  /** Called with what would be deleted, before anything is; undefined: nobody is asked. */
  confirms: ((question: string) => Promise<boolean>) | undefined;
}

type Sum = UnusedInputs["unused"];

/** Do it, and say what was deleted, or what would be. Throws when the manager holds it back. */
export async function pruneInputs(
  { client, out }: CommandContext,
  { days, dryRun, confirms }: PruneInputs,
  sleep: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): Promise<void> {
  const run = async (json: object) => await runToEnd({ client, out }, json, sleep);
  const order = days !== undefined ? { days } : {};
  const wouldDelete = dryRun || confirms ? await run({ ...order, dry_run: true }) : null;
  const rule = (days: number | null): string => `unused for ${count(days ?? 0, "day")} or longer`;
  if (wouldDelete && (dryRun || wouldDelete.unused.inputs === 0)) {
    if (out.json) return out.value(wouldDelete);
    const { unused, days } = wouldDelete;
    if (!dryRun) return out.note(`no input is ${rule(days)}`);
    return out.line(`would delete ${sumOf(unused)}, ${rule(days)}; nothing was deleted`);
  }
  if (wouldDelete && confirms) {
    const question = `Delete ${sumOf(wouldDelete.unused)}, ${rule(wouldDelete.days)}? [y/N] `;
    if (!(await confirms(question))) return out.note("nothing was deleted");
  }
  const answer = await run(order);
  if (out.json) return out.value(answer);
  if (answer.deleted.inputs > 0) out.line(`deleted ${sumOf(answer.deleted)}, ${rule(answer.days)}`);
  else out.line(`no input is ${rule(answer.days)}`);
}

/** Have the manager go on until it is done. The last answer, with the sum of what was deleted. */
async function runToEnd(
  { client, out }: CommandContext,
  json: object,
  sleep: (ms: number) => Promise<void>,
): Promise<UnusedInputs> {
  let answer: UnusedInputs;
  let told = "";
  const deleted: Sum = { inputs: 0, bytes: 0 };
  for (;;) {
    answer = await client.call(unusedInputsSchema, "POST", "/storage/unused-inputs", { json });
    deleted.inputs += answer.deleted.inputs;
    deleted.bytes += answer.deleted.bytes;
    if (answer.held !== null) throw new CliError(EXIT.failed, `nothing is deleted: ${answer.held}`);
    if (answer.done) break;
    const line = stateOf(answer, client.nowMs());
    if (line !== told) out.note(line);
    told = line;
    if (answer.wait_ms > 0) await sleep(answer.wait_ms);
  }
  return { ...answer, deleted };
}

/** What the manager is about, for people who wait. */
function stateOf({ phase, asked_task, wait_ms, run_deleted }: UnusedInputs, nowMs: number): string {
  if (phase === "mark") return `asking the tasks what they use; up to task ${asked_task}`;
  const deleted = run_deleted.inputs > 0 ? `; ${sumOf(run_deleted)} deleted so far` : "";
  if (wait_ms > 0) return `the manager goes on at ${instant(nowMs + wait_ms)} UTC${deleted}`;
  return `deleting${deleted}`;
}

function sumOf({ inputs, bytes: size }: Sum): string {
  return `${count(inputs, "input")} (${bytes(size)})`;
}
