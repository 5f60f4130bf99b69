/** A person's patch of a task: its definition and its state, all or nothing. Pure. */
import { ok, type Result } from "../../lib/result.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { RETENTION_SETTINGS } from "../../protocol/retention.ts";
import type { TaskPatch } from "../../protocol/task.ts";
import { dropDependency } from "./dependencies.ts";
import { act, changeFrames, type AllFrames } from "./user-actions.ts";
import { noteTask, termsOf, type Transition } from "./ledger.ts";
import type { CompiledDefinition, TaskDefinition } from "../../rpc/task.ts";

/**
 * The definition after the patch: the same object when nothing in it changed. Settings may change
 * only before the first lease; `compiled` is what the Worker made of them.
 */
export function amend(
  t: Transition,
  allFrames: AllFrames,
  before: TaskDefinition,
  patch: TaskPatch,
  compiled: CompiledDefinition | null,
  actor: string,
): Result<TaskDefinition, Refusal> {
  const definition = { ...before };
  const ledger = { ...t.ledger, counts: { ...t.ledger.counts } };
  if (patch.settings !== undefined) {
    const changed = changeSettings(t, definition, compiled);
    if (!changed.ok) return changed;
  }
  if (patch.drop_dependency !== undefined) {
    const task = patch.drop_dependency;
    const dropped = dropDependency(t, task);
    if (!dropped.ok) {
      if (patch.settings !== undefined) Object.assign(t.ledger, ledger);
      return dropped;
    }
    definition.depends_on = definition.depends_on.filter((one) => one.task !== task);
  }
  if (patch.status !== undefined) {
    const acted = act(t, allFrames, patch.status, patch, actor);
    if (!acted.ok) {
      // A refused patch changes nothing, but the settings and the dropped dependency have.
      if (patch.settings !== undefined || patch.drop_dependency !== undefined) Object.assign(t.ledger, ledger);
      return acted;
    }
  }
  if (patch.priority !== undefined) definition.priority = patch.priority;
  if (patch.name !== undefined) definition.name = patch.name;
  changeRetention(definition, patch, t.nowMs);
  if (JSON.stringify(definition) === JSON.stringify(before)) return ok(before);
  const fields = (["priority", "name", "settings", ...RETENTION_SETTINGS] as const).filter(
    (field) => patch[field] !== undefined,
  );
  if (fields.length > 0) noteTask(t, "changed", `${fields.join(", ")} by ${actor}`);
  if (patch.drop_dependency !== undefined)
    noteTask(t, "changed", `dependency on task ${patch.drop_dependency} dropped by ${actor}`);
  return ok(definition);
}

/** The instant is stored, because nothing is deleted within a day after the change. */
function changeRetention(definition: TaskDefinition, patch: TaskPatch, nowMs: number): void {
  for (const name of RETENTION_SETTINGS) {
    const days = patch[name];
    if (days === undefined || days === (definition[name] ?? null)) continue;
    if (days === null) delete definition[name];
    else definition[name] = days;
    definition.retention_set_ms = nowMs;
  }
}

function changeSettings(
  t: Transition,
  definition: TaskDefinition,
  compiled: CompiledDefinition | null,
): Result<null, Refusal> {
  if (t.ledger.attempt > 0)
    return refuse("conflict", "settings can be changed before the first lease only", "settings");
  if (!compiled || compiled.input_task !== definition.input_task) {
    return refuse("invalid", "cannot change the task its frames come from", "settings");
  }
  if (compiled.frame_list !== definition.frame_list) {
    const moved = changeFrames(t.ledger);
    if (!moved.ok) return moved;
  }
  Object.assign(definition, compiled);
  t.terms = termsOf(definition);
  return ok(null);
}
