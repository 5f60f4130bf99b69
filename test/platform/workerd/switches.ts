/**
 * Which limits act now. The Worker and its objects share an isolate here, and so they share these
 * variables.
 */
import { LIMITS, type LimitName } from "../limits/index.ts";
import type { AlarmInfo, BindingCall, Limit, Sql } from "../limits/limit.ts";

const realNow = Date.now.bind(Date);
const realTimeout = globalThis.setTimeout.bind(globalThis);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => realTimeout(resolve, ms));

let active = new Map<LimitName, Limit>();
/** How far the manager's clock is ahead of the machine's, in milliseconds. */
let offsetMs = 0;
/** How often each limit has acted. */
export const bites: Partial<Record<LimitName, number>> = {};

/** The manager's clock. It goes on also while `Date.now()` stands still. */
export function clockMs(): number {
  return realNow() + offsetMs;
}

export function setClockForward(byMs: number): void {
  offsetMs += byMs;
}

/** The instant of the machine's clock at which the manager's clock says this. */
export function machineMs(atMs: number): number {
  return atMs - offsetMs;
}

/** The reverse of `machineMs`. */
export function managerMs(atMs: number): number {
  return atMs + offsetMs;
}

/** From now on these limits act. One that acted before goes on with what it knows. */
export function switchTo(names: readonly LimitName[]): void {
  active = new Map(names.map((name) => [name, active.get(name) ?? made(name)]));
}

function made(name: LimitName): Limit {
  bites[name] ??= 0;
  const bite = (): void => {
    bites[name]!++;
  };
  return LIMITS[name]({ bite, nowMs: clockMs, sleep, random: Math.random });
}

/** Carry out a call of a binding under all limits. The first that is switched on acts first. */
export async function carryOut(call: BindingCall, carry: () => Promise<unknown>, invocation: object): Promise<unknown> {
  const limited = [...active.values()].reduceRight<() => Promise<unknown>>(
    (next, limit) => async () => (limit.call ? await limit.call(call, next, invocation) : await next()),
    carry,
  );
  return await limited();
}

/** An object is about to run a statement. Throws when a limit refuses it. */
export function checkStatement(statement: string, params: readonly unknown[], invocation: object): void {
  for (const limit of active.values()) limit.statement?.(statement, params, invocation);
}

/** An object is about to set its alarm. Throws when a limit refuses it. */
export function checkAlarm(invocation: object): void {
  for (const limit of active.values()) limit.setAlarm?.(invocation);
}

/** An event begins. */
export function beginEvent(invocation: object): void {
  for (const limit of active.values()) limit.event?.(invocation);
}

/** The alarm of an object is due. */
export async function ring(
  handler: (info: AlarmInfo) => Promise<void>,
  info: AlarmInfo,
  invocation: object,
): Promise<void> {
  const limited = [...active.values()].reduceRight<(info: AlarmInfo) => Promise<void>>(
    (next, limit) => async (info) => (limit.alarm ? await limit.alarm(next, info, invocation) : await next(info)),
    handler,
  );
  await limited(info);
}

/** An object is about to be constructed. */
export function beforeConstruction(sql: Sql): void {
  for (const limit of active.values()) limit.construct?.(sql);
}

/**
 * From now on `Date.now()` is the manager's clock, as the limits let it be seen, and a timer that
 * fires is an event. Called once for the isolate.
 */
export function takeOverClock(): void {
  Date.now = () => {
    let nowMs = clockMs();
    for (const limit of active.values()) nowMs = limit.now?.(nowMs) ?? nowMs;
    return nowMs;
  };
  const timers = {};
  const asEvent =
    (work: (...args: unknown[]) => void) =>
    (...args: unknown[]): void => {
      beginEvent(timers);
      work(...args);
    };
  globalThis.setTimeout = ((work: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
    realTimeout(asEvent(work), ms, ...args)) as unknown as typeof setTimeout;
}
