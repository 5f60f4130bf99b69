/** What a task needs of a worker, and which workers have it. Pure; the registry's dispatch rests on it. */
import type { Needs } from "../task/rpc.ts";

/** What a worker offers, as it reported at registration. */
export interface Offer {
  /** Programs it found, name → version. */
  programs: Readonly<Record<string, string>>;
  tags: readonly string[];
  allow_exec: boolean;
  allow_autoexec: boolean;
}

/** Whether a worker can do a task: it has every program and tag, and allows what the task must be allowed. */
export function canDo(needs: Needs, worker: Offer): boolean {
  return (
    needs.programs.every((program) => Object.hasOwn(worker.programs, program)) &&
    needs.tags.every((tag) => worker.tags.includes(tag)) &&
    (worker.allow_exec || !needs.allow_exec) &&
    (worker.allow_autoexec || !needs.allow_autoexec)
  );
}
