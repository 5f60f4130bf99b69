/**
 * Which Blender renders a task (P12). Pictures differ between minor versions, so one task never mixes
 * them, unless it was submitted for `any`:
 *
 * - A task of `4.5` gives frames only to workers that have 4.5.
 * - A task of `4.5+` is *bound* to the minor version of the first worker that claims, for as long as a
 *   frame is done or leased. Before that, and when all of it was given back or requeued, any newer one
 *   may begin. It is the claim that decides, because there alone all of this is known at one instant.
 *
 * Pure.
 */
import { ANY_BLENDER, blenderFor, minorOf, newestOf } from "../../protocol/blender-version.ts";
import type { Needs } from "../../protocol/needs.ts";
import type { LiveLease } from "./lease-index.ts";
import type { Ledger, Terms } from "./ledger.ts";

/**
 * The minor version that the task is bound to; undefined while it is not. Derived from what is done and
 * leased, so that whatever takes frames back need not know of it.
 */
export function boundBlender({ counts, leases, bound_blender }: Ledger): string | undefined {
  return counts.done > 0 || leases.size > 0 ? bound_blender : undefined;
}

/**
 * The Blender in which a worker with these renders the next lease, in its full version; null when it has
 * none that the task may use, and none of `fetchable` either, which it would fetch from the farm: what it has
 * goes first. Undefined where Blender does not render the task, or the worker (an agent of
 * 0.1) has not named any and any will do.
 */
export function blenderToUse(
  { blender }: Pick<Terms, "blender">,
  ledger: Ledger,
  has: readonly string[],
  fetchable: readonly string[] = [],
): string | null | undefined {
  if (blender === null) return undefined;
  if (blender === ANY_BLENDER) return has[0] ?? newestOf(fetchable);
  const need = boundBlender(ledger) ?? blender;
  return blenderFor(need, has) ?? blenderFor(need, fetchable) ?? null;
}

/** A lease was given out in this version: a task of `4.5+` is bound to its minor version. */
export function bindBlender({ blender }: Pick<Terms, "blender">, ledger: Ledger, version: string): void {
  const minor = minorOf(version);
  if (blender?.endsWith("+") && minor !== undefined) ledger.bound_blender = minor;
}

/** The minor version that the plan of a lease names; undefined where the task needs none. */
export function plannedBlender({ blender }: Pick<Terms, "blender">, lease: LiveLease): string | undefined {
  return blender === null || blender === ANY_BLENDER || lease.blender === undefined
    ? undefined
    : minorOf(lease.blender);
}

/** What the task needs of a worker now: while it is bound, exactly that minor version. */
export function needsNow(needs: Needs, ledger: Ledger): Needs {
  const bound = boundBlender(ledger);
  return bound === undefined ? needs : { ...needs, blender: bound };
}
