/**
 * Which workers may renew themselves with the program that their manager serves, and when. Pure.
 *
 * A new program goes to a tenth of the workers first. The others follow when each of that tenth has shown that
 * it works: by a lease that it has finished, or by ten minutes. When as many have gone back to the program
 * before, nobody else follows until the manager serves another one.
 */

/** What is known of a worker that renews itself. Hashes are hexadecimal SHA-256. */
export interface WorkerProgram {
  worker: number;
  /** The program that it runs, and since when. */
  running: string;
  sinceMs: number;
  /** It has finished a lease with it. */
  proven: boolean;
  /** The program from which it went back; null: none. */
  failed: string | null;
  /** The program that it was last allowed to fetch, and when; null: none. */
  allowed: string | null;
  allowedMs: number;
  /** When it last told of its program. */
  seenMs: number;
}

/** The part of all workers that goes first. */
const FIRST_PART = 10;
/** After this, a program that was never given a lease counts as good, too. */
const SETTLED_MS = 600_000;
/** A permission that was not used within this is given to another worker: the machine may be off. */
const PERMISSION_MS = 3_600_000;
/** A worker that was not heard of for this long is not waited for, and does not count. */
const KNOWN_MS = 7 * 86_400_000;

export type Rollout =
  /** It runs what is served. */
  | { kind: "current" }
  | { kind: "update" }
  /** Why it may not now; for people. */
  | { kind: "wait"; why: string };

/** What the worker may do about the program `served`. `all` has the worker itself. */
export function rolloutFor(all: readonly WorkerProgram[], worker: number, served: string, nowMs: number): Rollout {
  const known = all.filter((one) => nowMs - one.seenMs <= KNOWN_MS);
  const own = known.find((one) => one.worker === worker);
  if (own?.running === served) return { kind: "current" };
  if (own?.failed === served) return { kind: "wait", why: "it went back from this program" };
  const first = Math.max(1, Math.ceil(known.length / FIRST_PART));
  const failed = known.filter((one) => one.failed === served);
  if (failed.length >= first) {
    const which = failed.map((one) => one.worker).join(", ");
    return {
      kind: "wait",
      why: `stopped: ${failed.length > 1 ? "workers" : "worker"} ${which} went back from this program`,
    };
  }
  const isFetching = (one: WorkerProgram): boolean => one.allowed === served && nowMs - one.allowedMs <= PERMISSION_MS;
  if (own && isFetching(own)) return { kind: "update" };
  const running = known.filter((one) => one.running === served);
  if (running.filter((one) => one.proven || nowMs - one.sinceMs >= SETTLED_MS).length >= first)
    return { kind: "update" };
  const taken =
    running.length + known.filter((one) => one.running !== served && one.failed !== served && isFetching(one)).length;
  if (taken < first) return { kind: "update" };
  return { kind: "wait", why: `a tenth of the workers go first (${first} of ${known.length})` };
}
