/**
 * What a limit of Cloudflare's platform can act on. Each limit is a file of this folder: it emulates
 * one rule, names the page that states the rule, and knows no other limit. The files run in workerd
 * (`workerd/`) and in Node (their tests).
 */

/** The bindings of the manager. */
export type Service = "r2" | "d1" | "task" | "registry" | "assets";

/** A call of a binding, as the product makes it. */
export interface BindingCall {
  service: Service;
  /** `put`, `batch`, `claim` … */
  method: string;
  /** The arguments; for D1 the texts of the statements. */
  args: readonly unknown[];
}

/** What the runtime tells the handler of an alarm. */
export interface AlarmInfo {
  isRetry: boolean;
  retryCount: number;
}

/** The part of an object's SQL that a limit uses. */
export interface Sql {
  exec(statement: string, ...params: unknown[]): { toArray(): unknown[] };
}

/**
 * A limit, as a set of places where it may act. `invocation` is the same object for everything that
 * one request to the Worker does. Everything that one Durable Object does has one, too, because all
 * requests to an object share an I/O context.
 */
export interface Limit {
  /**
   * A call of a binding. Carries it out with `carry`, or throws or changes the answer as the platform
   * does.
   */
  call?(call: BindingCall, carry: () => Promise<unknown>, invocation: object): Promise<unknown>;
  /** An SQL statement of an object. Throws as the platform does. */
  statement?(statement: string, params: readonly unknown[], invocation: object): void;
  /** An object sets its alarm. Throws as the platform does. */
  setAlarm?(invocation: object): void;
  /** The alarm of an object is due; `handler` is the object's own. */
  alarm?(handler: (info: AlarmInfo) => Promise<void>, info: AlarmInfo, invocation: object): Promise<void>;
  /** An event begins: a request, a call of an object, an alarm, a timer, a message of a socket. */
  event?(invocation: object): void;
  /** An object is about to be constructed on this database. */
  construct?(sql: Sql): void;
  /** What `Date.now()` answers when the clock says `clockMs`. */
  now?(clockMs: number): number;
}

/** What a limit needs from its surroundings. */
export interface LimitContext {
  /** Call it each time that the limit acts: a test can then tell that the limit was met. */
  bite: () => void;
  /** The manager's clock, in epoch milliseconds. It goes on also while `Date.now()` stands still. */
  nowMs: () => number;
  sleep: (ms: number) => Promise<void>;
  /** In [0, 1). */
  random: () => number;
}

const WRITE = /^\s*(insert|update|delete|replace|create|alter|drop)\b/i;

/**
 * Whether a statement counts as a write. So does `CREATE TABLE IF NOT EXISTS`, whether or not it
 * creates something.
 */
export function isWrite(statement: string): boolean {
  return WRITE.test(statement);
}
