/**
 * The alarm of a Durable Object. An object has one alarm and several reasons to wake: each reason
 * is a due time under a name of its own, and the alarm is set for the earliest of them.
 *
 * - The alarm is set when none is set or a later one is; it is never moved back. A wake that comes
 *   too early sets it anew.
 * - The platform may drop an alarm that is set for the present or the past (workerd#6866), so an
 *   overdue time is set for the next millisecond.
 * - The platform forgets an alarm whose handler failed seven times in a row (Durable Objects, Alarms
 *   API: six retries), and alarms have been lost for other reasons (cloudflare-docs#18324). So the
 *   alarm is looked after when the object is constructed, called or read: when something is due and
 *   no alarm is set, or the one that is set is late, it is set anew (decision 016).
 *
 * No types of the runtime here, so that programs outside it can load the pure `alarmToSet`.
 */
import { AlarmJobs, logFailure, type About } from "./alarm-jobs.ts";

/**
 * What is due, by name: the instant, or null while there is nothing to do. Read whenever the alarm
 * may have to be set.
 */
export type DueTimes = Readonly<Record<string, () => number | null>>;

/** The part of a `DurableObjectState` that the scheduler uses. */
interface AlarmObject {
  storage: { getAlarm(): Promise<number | null>; setAlarm(atMs: number): Promise<void> };
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * An alarm that has not rung this long after its instant counts as lost. Shorter: while alarms ring
 * late, each call of a busy object would write one more row. Longer: a lost one is noticed later than
 * P13 allows.
 */
export const LATE_MS = 30_000;
/**
 * The platform tries a handler that threw this many times more, then it forgets the alarm (Durable
 * Objects, Alarms API). With a larger number here, the last try would throw, and set no alarm.
 */
const RETRIES = 6;
/**
 * When to wake although nothing says that something is due: a try of the handler has failed, or what
 * is due cannot be read. Longer: P13 allows two minutes.
 */
const RESCUE_MS = 60_000;
/**
 * After a run in which a job failed, what is overdue is tried again after this, and after twice as
 * long with every further one up to RESCUE_MS. Without it, a database that refuses every write would
 * be called without a pause.
 */
const BACK_OFF_MS = 500;

/**
 * The instant to set the alarm for so that it rings at `dueMs` or before; null when the one that is
 * set does. One whose instant has passed is about to ring: that is enough for what is overdue until
 * it is late by `lateMs`, and too early for anything else. Pure.
 */
export function alarmToSet(dueMs: number, armedMs: number | null, nowMs: number, lateMs = LATE_MS): number | null {
  const atMs = Math.max(dueMs, nowMs + 1);
  if (armedMs === null || armedMs > atMs) return atMs;
  const aboutToRing = dueMs <= nowMs && armedMs > nowMs - lateMs;
  return armedMs > nowMs || aboutToRing ? null : atMs;
}

export class AlarmScheduler {
  readonly #storage: AlarmObject["storage"];
  readonly #about: About;
  /** An array, because it is walked at every change of the object. */
  readonly #due: readonly (() => number | null)[];
  readonly #jobs: AlarmJobs;
  #armedMs: number | null = null;
  /** Whether the platform took the alarm that was set last. */
  #taken: Promise<boolean> = Promise.resolve(true);
  /** The last `setAlarm` was refused: until one is taken, further ones are not logged. */
  #refused = false;
  #notBeforeMs = 0;
  /** Runs in a row in which a job failed. */
  #failedRuns = 0;

  /** `about`: names the object in its log lines. */
  constructor(object: AlarmObject, about: About, due: DueTimes) {
    this.#storage = object.storage;
    this.#about = about;
    this.#due = Object.values(due);
    this.#jobs = new AlarmJobs(about);
    // A rejection would reset the object, so nothing here may throw.
    void object.blockConcurrencyWhile(async () => {
      try {
        this.#armedMs = await object.storage.getAlarm();
      } catch (error) {
        logFailure(this.#about, "read the alarm", error);
      }
      // The object may have been constructed because its alarm rings.
      if (!this.#isAboutToRing()) this.arm();
    });
  }

  /**
   * Set the alarm when something is due earlier than it, or it is late. Call it after every change of
   * a due time and at every read. Does not throw; a refused alarm is logged, and counts as not set.
   */
  arm(): void {
    void this.#arm();
  }

  /** Answers whether the object wakes when something is due. */
  #arm(): Promise<boolean> {
    const nowMs = Date.now();
    const dueMs = this.#dueMs(nowMs);
    if (dueMs === Infinity) return Promise.resolve(true);
    const atMs = alarmToSet(dueMs, this.#armedMs, nowMs);
    if (atMs !== null) this.#taken = this.#set(atMs);
    return this.#taken;
  }

  #isAboutToRing(): boolean {
    const nowMs = Date.now();
    return this.#armedMs !== null && this.#armedMs <= nowMs && this.#armedMs > nowMs - LATE_MS;
  }

  #dueMs(nowMs: number): number {
    try {
      let dueMs = Infinity;
      for (const due of this.#due) dueMs = Math.min(dueMs, due() ?? Infinity);
      // A job that failed may have forgotten when it is due.
      if (this.#failedRuns > 0) dueMs = Math.min(dueMs, nowMs + RESCUE_MS);
      return dueMs > nowMs ? dueMs : Math.max(dueMs, this.#notBeforeMs);
    } catch (error) {
      logFailure(this.#about, "read what is due", error);
      return nowMs + RESCUE_MS;
    }
  }

  async #set(atMs: number): Promise<boolean> {
    this.#armedMs = atMs;
    try {
      await this.#storage.setAlarm(atMs);
      this.#refused = false;
      return true;
    } catch (error) {
      if (this.#armedMs === atMs) this.#armedMs = null;
      if (!this.#refused) logFailure(this.#about, "set the alarm", error);
      this.#refused = true;
      return false;
    }
  }

  /**
   * The handler of the alarm: do the work, then set the next alarm. `retryCount`: how often the
   * platform has tried before.
   *
   * During the first try the platform itself keeps the alarm, and rings again two seconds after a
   * failure; an alarm that is set before the work would take the place of that. From the second try
   * on, one is set first, because the tries may run out.
   *
   * Throws only when the next alarm was refused and the platform will try again. The last try returns
   * in any case: then the object sets its alarm when it is next called, if only by the watchdog.
   */
  async ring(retryCount: number, work: () => Promise<void>): Promise<void> {
    this.#armedMs = null;
    if (retryCount > 0) await (this.#taken = this.#set(Date.now() + RESCUE_MS));
    const before = this.#jobs.failures;
    try {
      await work();
    } catch (error) {
      this.#jobs.failed("alarm", error);
    }
    this.#failedRuns = this.#jobs.failures > before ? this.#failedRuns + 1 : 0;
    const waitMs = Math.min(BACK_OFF_MS * 2 ** (this.#failedRuns - 1), RESCUE_MS);
    this.#notBeforeMs = this.#failedRuns === 0 ? 0 : Date.now() + waitMs;
    if (await this.#arm()) return;
    if (retryCount < RETRIES) throw new Error("the next alarm could not be set");
    logFailure(this.#about, "alarm", new Error("no alarm could be set: the next call or the watchdog sets it"));
  }

  /** One job of the handler, within its `work`: see `AlarmJobs.run`. */
  async job(name: string, work: () => void | Promise<void>): Promise<void> {
    await this.#jobs.run(name, work);
  }

  /** Work besides the alarm that may fail, and that nobody repeats: a throw is logged. */
  async attempt(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      logFailure(this.#about, name, error);
    }
  }

  /** The storage was emptied, and the alarm with it. */
  emptied(): void {
    this.#armedMs = null;
  }
}
