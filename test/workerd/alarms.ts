/**
 * Runs the alarm of an object in tests. The runtime itself runs an alarm that is due, a few
 * milliseconds later.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { WorkerRegistry } from "../../src/registry/worker-registry.ts";
import { TaskDO } from "../../src/task/task-do.ts";

/** By object: settles when every alarm run that has begun so far has ended. */
const rung = new WeakMap<object, Promise<unknown>>();

function listen(prototype: { alarm: (this: object, info?: AlarmInvocationInfo) => Promise<void> }): void {
  const { alarm } = prototype;
  prototype.alarm = async function (info) {
    const run = alarm.call(this, info);
    rung.set(this, Promise.allSettled([rung.get(this), run]));
    await run;
  };
}
listen(TaskDO.prototype);
listen(WorkerRegistry.prototype);

/**
 * Run the alarm if it is set. Whether this call or the runtime ran the alarm, its work is finished
 * afterwards.
 */
export async function ring(stub: DurableObjectStub): Promise<void> {
  const quiet = async (): Promise<unknown> => await runInDurableObject(stub, (instance) => rung.get(instance));
  // A run that has already begun does not know what the test has changed since, and has yet to set
  // the next alarm.
  await quiet();
  await runDurableObjectAlarm(stub);
  // The runtime may have run the alarm before this call.
  await quiet();
}
