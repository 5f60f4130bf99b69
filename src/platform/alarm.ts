/**
 * The alarm of a Durable Object. An object has one alarm and several reasons to wake: each reason
 * is a due time under a name of its own, and the alarm is set for the earliest of them.
 *
 * - The alarm is set when none is set or a later one is; it is never moved back. A wake that comes
 *   too early sets it anew.
 * - An alarm whose instant has passed counts as not set: the platform may have lost it.
 * - The platform may drop an alarm that is set for the present or the past (workerd#6866), so an
 *   overdue time is set for the next millisecond.
 *
 * No types of the runtime here, so that programs outside it can load the pure `alarmToSet`.
 */

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
 * The instant to set the alarm for so that it rings at `dueMs` or before; null when the one that is
 * set does. Pure.
 */
export function alarmToSet(dueMs: number, armedMs: number | null, nowMs: number): number | null {
  const atMs = Math.max(dueMs, nowMs + 1);
  return armedMs !== null && armedMs > nowMs && armedMs <= atMs ? null : atMs;
}

export class AlarmScheduler {
  readonly #storage: AlarmObject["storage"];
  /** An array, because it is walked at every change of the object. */
  readonly #due: readonly (() => number | null)[];
  #armedMs: number | null = null;
  #notBeforeMs = 0;

  constructor(object: AlarmObject, due: DueTimes) {
    this.#storage = object.storage;
    this.#due = Object.values(due);
    void object.blockConcurrencyWhile(async () => {
      this.#armedMs = await object.storage.getAlarm();
    });
  }

  /** Set the alarm when something is due earlier than it. Call after every change of a due time. */
  arm(): void {
    let dueMs = Infinity;
    for (const due of this.#due) dueMs = Math.min(dueMs, due() ?? Infinity);
    if (dueMs === Infinity) return;
    this.armAt(Math.max(dueMs, this.#notBeforeMs));
  }

  /** See that the alarm rings at this instant or before, whatever is due. */
  armAt(wakeMs: number): void {
    const atMs = alarmToSet(wakeMs, this.#armedMs, Date.now());
    if (atMs === null) return;
    this.#armedMs = atMs;
    void this.#storage.setAlarm(atMs);
  }

  /** The alarm has rung: none is set now. */
  rang(): void {
    this.#armedMs = null;
  }

  /**
   * After a failure: `arm` sets the alarm for no earlier instant, so that what keeps failing does
   * not ring without a pause.
   */
  holdOff(untilMs: number): void {
    this.#notBeforeMs = untilMs;
  }
}
