/**
 * What a task needs of a worker, and which workers offer it. Pure. Dispatch and the answers of
 * `…/why` both use these functions.
 */
import { ANY_BLENDER, meetsNeed } from "./blender-version.ts";
import { isAtLeast } from "./version.ts";
import type { Missing } from "./why.ts";

/** What a worker must offer to do a task. */
export interface Needs {
  /** The compiler's canonical type. */
  type: string;
  /** Names of PROGRAMS that the worker must have found on its machine. */
  programs: string[];
  tags: string[];
  allow_exec: boolean;
  allow_autoexec: boolean;
  /**
   * The oldest version of the agent that understands the plan. Absent where every version does:
   * needs of earlier releases are stored as text, and equal needs must stay equal texts.
   */
  agent?: string;
  /**
   * The minor version of Blender: `4.5`, or `4.5+` for that or a newer one. Absent where any version
   * does.
   */
  blender?: string;
}

/** What a worker offers, as it last reported. */
export interface Offer {
  /** The programs that it found, name → version. */
  programs: Readonly<Record<string, string>>;
  /** All versions of the programs that it has several of. Absent: of none. */
  versions?: Readonly<Record<string, readonly string[]>>;
  /** Versions of Blender that it would fetch from the farm; absent: it fetches none, or there are none. */
  fetchable?: readonly string[];
  tags: readonly string[];
  allow_exec: boolean;
  allow_autoexec: boolean;
  /** The version of the agent; empty for a client that reported none. */
  version: string;
}

/**
 * The name of the agent where one of too low a version is missing. Readers of 0.1 know no kind of
 * their own for it; under this name they show it as a program.
 */
const AGENT = "tablao";

/**
 * Whether a worker can do a task: it has every program and tag, its agent is new enough, and it gives
 * the permissions that the task needs.
 */
export function canDo(needs: Needs, worker: Offer): boolean {
  for (const _ of missingFor(needs, worker)) return false;
  return true;
}

/** What a worker lacks for a task, one by one; nothing when it can do the task. */
export function* missingFor(needs: Needs, worker: Offer): Generator<Missing> {
  const fetches = canFetch(needs, worker);
  for (const name of needs.programs)
    if (!Object.hasOwn(worker.programs, name) && !(name === BLENDER && fetches)) yield { kind: "program", name };
  if (needs.blender !== undefined && !fetches) yield* missingBlender(needs.blender, worker);
  for (const name of needs.tags) if (!worker.tags.includes(name)) yield { kind: "tag", name };
  if (needs.agent !== undefined && !isAtLeast(worker.version, needs.agent))
    yield { kind: "program", name: AGENT, at_least: needs.agent, is: worker.version };
  if (needs.allow_exec && !worker.allow_exec) yield { kind: "exec", name: "" };
  if (needs.allow_autoexec && !worker.allow_autoexec) yield { kind: "autoexec", name: "" };
}

const BLENDER = "blender";

/** Whether the farm keeps a build of the Blender that a task needs, which this worker would fetch. */
function canFetch({ programs, blender }: Needs, { fetchable = [] }: Offer): boolean {
  if (fetchable.length === 0 || !programs.includes(BLENDER)) return false;
  return blender === undefined || fetchable.some((version) => meetsNeed(blender, version));
}

/** Whether a worker that can do a task must first fetch the Blender for it. */
export function mustFetch(needs: Needs, worker: Offer): boolean {
  if (!canFetch(needs, worker)) return false;
  const has = versionsOffered(worker, BLENDER);
  return needs.blender === undefined ? has.length === 0 : !has.some((version) => meetsNeed(needs.blender!, version));
}

/** Nothing where it has no Blender at all: that is said already. */
function* missingBlender(need: string, worker: Offer): Generator<Missing> {
  const has = versionsOffered(worker, BLENDER);
  if (has.length === 0 || has.some((version) => meetsNeed(need, version))) return;
  yield { kind: "program", name: BLENDER, needs: need, is: has.join(" and ") };
}

/** All versions of a program that a worker has; empty where it has none. */
export function versionsOffered(
  { programs, versions }: Pick<Offer, "programs" | "versions">,
  name: string,
): readonly string[] {
  if (!Object.hasOwn(programs, name)) return [];
  const all = versions && Object.hasOwn(versions, name) ? versions[name] : undefined;
  return all && all.length > 0 ? all : [programs[name]!];
}

/**
 * The version of Blender that renders a task: `4.5`, `4.5+`, `any`, or null where Blender does not. Of tasks
 * of every release, from their stored needs.
 */
export function blenderTerm({ programs, blender }: Pick<Needs, "programs" | "blender">): string | null {
  return programs.includes("blender") ? (blender ?? ANY_BLENDER) : null;
}
