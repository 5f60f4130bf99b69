/**
 * The jobs of an alarm handler. Each is run by itself: one that throws, or does not end, stops
 * neither the jobs after it nor the alarm (P13).
 */
import { messageOf } from "../lib/errors.ts";
import { within } from "../lib/within.ts";

/** The fields that name an object in its log lines. */
export type About = Readonly<Record<string, string | number>>;

/**
 * The handler waits this long for a job; then it goes on without it. Longer: a call that hangs holds
 * the jobs after it, and the next alarm, for longer than P13 allows. The platform itself would end
 * the handler after 15 minutes.
 */
const WAIT_MS = 60_000;
/**
 * A job that has not ended by then never will, because the platform has ended its event: it is begun
 * anew. Shorter: a job that takes its time would run twice at once.
 */
const DEAD_MS = 15 * 60_000;

interface Running {
  startedMs: number;
  done: Promise<void>;
}

export class AlarmJobs {
  readonly #about: About;
  /** Jobs that have not ended, by name. */
  readonly #running = new Map<string, Running>();
  /** How many jobs have failed since the object woke. */
  failures = 0;

  constructor(about: About) {
    this.#about = about;
  }

  /**
   * Run a job, or go on waiting for the one of this name that has not ended. Does not throw: a
   * failure is logged and counted.
   */
  async run(name: string, work: () => void | Promise<void>): Promise<void> {
    let running = this.#running.get(name);
    if (!running || Date.now() - running.startedMs >= DEAD_MS) running = this.#start(name, work);
    try {
      await within(WAIT_MS, running.done);
    } catch (error) {
      this.failed(name, error);
    }
  }

  #start(name: string, work: () => void | Promise<void>): Running {
    const running: Running = { startedMs: Date.now(), done: (async () => await work())() };
    this.#running.set(name, running);
    const ended = (): void => {
      if (this.#running.get(name) === running) this.#running.delete(name);
    };
    void running.done.then(ended, ended);
    return running;
  }

  /** A job has failed. */
  failed(name: string, error: unknown): void {
    this.failures++;
    logFailure(this.#about, name, error);
  }
}

/**
 * One line in the log for deferred work that failed. The field is called `chore`, as in earlier
 * releases.
 */
export function logFailure(about: About, chore: string, error: unknown): void {
  console.error(JSON.stringify({ ...about, chore, error: messageOf(error) }));
}
