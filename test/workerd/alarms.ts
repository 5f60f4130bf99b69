/** Ringing the alarm of an object in tests. One that is due the runtime rings by itself, a few milliseconds later. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { WorkerRegistry } from "../../src/registry/worker-registry.ts";
import { TaskDO } from "../../src/task/task-do.ts";

/** By object: settles when every alarm that has rung so far is over. */
const rung = new WeakMap<object, Promise<unknown>>();

function listen(prototype: { alarm: (this: object) => Promise<void> }): void {
  const { alarm } = prototype;
  prototype.alarm = async function () {
    const run = alarm.call(this);
    rung.set(this, Promise.allSettled([rung.get(this), run]));
    await run;
  };
}
listen(TaskDO.prototype);
listen(WorkerRegistry.prototype);

/** Let the alarm ring, if it is set. Whoever rang it, what it does is done afterwards. */
export async function ring(stub: DurableObjectStub): Promise<void> {
  const quiet = async (): Promise<unknown> => await runInDurableObject(stub, (instance) => rung.get(instance));
  // One that has begun does not know what the test has changed since, and has yet to set the next.
  await quiet();
  await runDurableObjectAlarm(stub);
  // The runtime may have been faster.
  await quiet();
}
