/**
 * The audit of versions of Blender (P12): by what the simulated agents rendered with, not by the manager's
 * own rules.
 */
import type { HistoryEvent } from "../../src/protocol/history.ts";
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import type { StoredTask } from "./audit.ts";
import { renderId, type Journal } from "./event-journal.ts";
import { mayRender, minorOf, type Need } from "./blender-rules.ts";

/** Minor versions that are mixed in what is done of a task and in its leases; empty when all is well. */
export function mixedMinors({ id, entries, ledger }: StoredTask, need: Need): string[] {
  if (need === undefined || need === "any") return [];
  const versions = [...entries.values()].flatMap((entry) => (entry.state === "done" ? [entry.blender] : []));
  for (const { blender } of ledger.leases) versions.push(blender);
  const unknown = versions.some((version) => version === undefined);
  const minors = new Set(versions.map((version) => minorOf(version ?? "")));
  return minors.size > 1 || unknown ? [`P12: task ${id} (${need}) mixes ${[...minors].join(" and ")}`] : [];
}

/**
 * Every frame that was ever committed was rendered by a Blender that its task's need allows, history and
 * rows name that Blender, and what is left of a task is of one minor version.
 */
export function auditBlenders(
  needs: ReadonlyMap<number, Need>,
  tasks: readonly StoredTask[],
  historyOf: (id: number) => HistoryEvent[],
  journal: Journal,
): string[] {
  const problems: string[] = [];
  for (const task of tasks) {
    const { id, entries } = task;
    if (!needs.has(id)) continue;
    const need = needs.get(id);
    for (const { kind, attempt, frames, blender } of historyOf(id)) {
      if (kind !== "done") continue;
      const list = parseFrameList(frames ?? "");
      for (const frame of list.ok ? framesOf(list.value) : []) {
        const by = journal.rendered.get(renderId(id, attempt!, frame));
        if (by === undefined) problems.push(`P12: nobody rendered frame ${frame} of task ${id}, attempt ${attempt}`);
        else if (!mayRender(need, by.version))
          problems.push(`P12: frame ${frame} of task ${id} (${need}) was rendered by ${by.version}`);
        if (by?.isTold && blender !== by.version)
          problems.push(`P12: history says ${blender} of frame ${frame} of task ${id}, it was ${by.version}`);
      }
    }
    const minors = new Set<string>();
    for (const [frame, entry] of entries) {
      if (entry.state !== "done") continue;
      const by = journal.rendered.get(renderId(id, entry.attempt, frame));
      if (by) minors.add(minorOf(by.version));
      if (by?.isTold && entry.blender !== by.version)
        problems.push(`P12: frame ${frame} of task ${id} is by ${by.version}, its row says ${entry.blender}`);
    }
    const isFree = need === undefined || need === "any";
    if (!isFree && minors.size > 1) problems.push(`P12: task ${id} (${need}) is of ${[...minors].join(" and ")}`);
    journal.count(`Blender: ${isFree ? "any" : need!.endsWith("+") ? "at least" : "exact"}`);
    if (isFree && minors.size > 1) journal.count("Blender: any, several used");
  }
  return problems;
}
