/** What the parts of a task's object share. Built once, by the constructor of `TaskDO`. */
import type { AlarmScheduler } from "../platform/alarm.ts";
import type { Env } from "../rpc/env.ts";
import type { TaskLog } from "./storage/log-store.ts";
import type { TaskStore } from "./storage/task-store.ts";
import type { Transactor } from "./transactor.ts";

export interface TaskContext {
  readonly ctx: DurableObjectState;
  readonly env: Env;
  readonly store: TaskStore;
  readonly log: TaskLog;
  readonly transactor: Transactor;
  readonly alarm: AlarmScheduler;
  /**
   * How far each lease is, by its id, as renewals reported it: 0 to 1. In memory only; the next
   * renewals bring it back.
   */
  readonly progress: Map<string, number>;
}
