/**
 * Breadth-first exploration of a configuration: checks every world that can be reached, each once.
 */
import { hashOf, worldText } from "./canonical.ts";
import { Broken } from "./promises.ts";
import { Protocol } from "./protocol.ts";
import { States } from "./states.ts";
import { firstWorld, termsOf, type Configuration, type World } from "./world.ts";

export interface Report {
  configuration: string;
  /** Different worlds reached. */
  states: number;
  /** Different task states among them. */
  ledgers: number;
  /** Moves made. */
  transitions: number;
  /** Moves on the shortest way to the last world found. */
  depth: number;
  seconds: number;
  /** False when the exploration was cut at `maxStates`. */
  complete: boolean;
  broken: { promise: string; message: string; trace: string[] } | null;
}

/**
 * Explore until nothing new is found, the limit is reached, or a promise is broken; then the trace
 * is a shortest one.
 */
export function explore(configuration: Configuration): Report {
  const startedMs = performance.now();
  const protocol = new Protocol(configuration);
  const terms = termsOf(configuration);
  const states = new States(configuration, terms);
  const seen = new Set<number>();
  const parents: number[] = [-1];
  const labels: string[] = ["a task is submitted"];
  const interned = new Map<string, string>();
  const first = firstWorld(configuration);
  let level: { world: World; index: number }[] = [{ world: first, index: 0 }];
  seen.add(hashOf(worldText(first, configuration.tickMs)));
  let transitions = 0;
  let depth = 0;
  let broken: Report["broken"] = null;
  let complete = true;

  const traceTo = (index: number): string[] => {
    const trace: string[] = [];
    for (let at = index; at >= 0; at = parents[at]!) trace.unshift(labels[at]!);
    return trace;
  };
  const failed = (error: unknown, index: number, label?: string): void => {
    if (!(error instanceof Broken)) throw error;
    broken = {
      promise: error.promise,
      message: error.message,
      trace: [...traceTo(index), ...(label === undefined ? [] : [label])],
    };
  };

  search: while (level.length > 0) {
    const next: typeof level = [];
    for (const { world, index } of level) {
      let checked = false;
      try {
        states.check(world);
        protocol.promises.known(world, configuration.source?.mode === "input");
        protocol.promises.ofOneBlender(world);
        protocol.promises.ofSeveralColours(world);
        checked = true;
        protocol.moves(world, (label, after) => {
          if (after.memory.ledger.attempt > configuration.leases) return;
          transitions++;
          const hash = hashOf(worldText(after, configuration.tickMs));
          if (seen.has(hash)) return;
          if (seen.size >= configuration.maxStates) {
            complete = false;
            return;
          }
          seen.add(hash);
          let kept = interned.get(label);
          if (kept === undefined) interned.set(label, (kept = label));
          labels.push(kept);
          parents.push(index);
          next.push({ world: after, index: labels.length - 1 });
        });
      } catch (error) {
        failed(error, index, checked ? protocol.trying : undefined);
        break search;
      }
    }
    if (next.length > 0) depth++;
    level = next;
  }
  return {
    configuration: configuration.name,
    states: seen.size,
    ledgers: states.ledgers,
    transitions,
    depth,
    seconds: (performance.now() - startedMs) / 1000,
    complete,
    broken,
  };
}
