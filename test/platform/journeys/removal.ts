/** P13: a task that is removed goes, with its files and its rows. */
import { z } from "zod";
import { until } from "../../support/wait.ts";
import type { Ground } from "../ground.ts";
import { submitDemo } from "./render.ts";

/** Far beyond the last grant to upload, after which the files are deleted once more. */
const GRANTS_END_MS = 3_600_000;
/** The trigger that looks after work that is under way. */
const WATCH_CRON = "*/5 * * * *";

export async function removal(ground: Ground): Promise<void> {
  const { platform } = ground;
  const agent = await ground.agent("renderer");
  const id = await submitDemo(ground, 2);
  await ground.untilCompleted(id);
  await agent.stop();
  await ground.midway();
  await ground.manager.client.call(z.unknown(), "DELETE", `/tasks/${id}`);
  await platform.setClockForward(GRANTS_END_MS);
  let left = "";
  await until(
    async () => {
      await platform.cron(WATCH_CRON);
      const { rows, alarmMs } = await platform.task(id);
      const keys = await platform.keys(`tasks/${id}/`);
      left = `rows ${JSON.stringify(rows)}, alarm ${alarmMs}, ${keys.length} files`;
      return Object.keys(rows).length === 0 && keys.length === 0;
    },
    { withinMs: ground.withinMs, what: `task ${id} is gone`, everyMs: 500 },
  ).catch((error: unknown) => {
    throw new Error(`task ${id} is not gone: ${left}`, { cause: error });
  });
}
