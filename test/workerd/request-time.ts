/**
 * The cost of hostile requests, in units of a trivial request at the same time on the same machine.
 * A limit in milliseconds would depend on the other load of the machine, and workerd cannot ask the
 * system for that load.
 */
import { send } from "./http-client.ts";

/** More than one, because a single request may be slowed by other load. */
const SAMPLES = 20;

async function trivialMs(): Promise<number> {
  const fromMs = Date.now();
  for (let i = 0; i < SAMPLES; i++) await (await send("GET", "/healthz")).arrayBuffer();
  // The clock of the runtime has whole milliseconds.
  return Math.max(1, Date.now() - fromMs) / SAMPLES;
}

/**
 * How many trivial requests take as long as `work`. They are measured before and after it, and the
 * slower ones count.
 */
export async function inTrivialRequests(work: () => Promise<void>): Promise<number> {
  const before = await trivialMs();
  const fromMs = Date.now();
  await work();
  const tookMs = Date.now() - fromMs;
  return tookMs / Math.max(before, await trivialMs());
}
