/**
 * What a task needs of a worker, and which workers offer it. Pure. Dispatch and the answers of
 * `…/why` both use these functions.
 */
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
}

/** What a worker offers, as it last reported. */
export interface Offer {
  /** The programs that it found, name → version. */
  programs: Readonly<Record<string, string>>;
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
  for (const name of needs.programs) if (!Object.hasOwn(worker.programs, name)) yield { kind: "program", name };
  for (const name of needs.tags) if (!worker.tags.includes(name)) yield { kind: "tag", name };
  if (needs.agent !== undefined && !isAtLeast(worker.version, needs.agent))
    yield { kind: "program", name: AGENT, at_least: needs.agent, is: worker.version };
  if (needs.allow_exec && !worker.allow_exec) yield { kind: "exec", name: "" };
  if (needs.allow_autoexec && !worker.allow_autoexec) yield { kind: "autoexec", name: "" };
}
