/** What a submitter is told at once when no worker has the Blender that a task needs. Pure. */
import { buildsText, farmBlendersText, needText } from "../protocol/blender-text.ts";
import { compareVersions } from "../protocol/blender-version.ts";
import type { TaskWhy } from "../protocol/why.ts";
import { COMMAND } from "./own-command.ts";

/**
 * The words, and the flags with which what there is would render it; null where a worker has it, or the task
 * needs no version.
 */
export function blenderNote({ task_id, blender }: Pick<TaskWhy, "task_id" | "blender">): string | null {
  if (!blender || blender.workers > 0) return null;
  const { needs, farm, builds = [] } = blender;
  const kept = builds.length > 0 ? ` ${buildsText(builds)}` : "";
  const said = `no worker has ${needText(needs)}, so task ${task_id} waits: ${farmBlendersText(farm)}.${kept}`;
  const isNewer = farm.some(({ version }) => compareVersions(version, needs) > 0);
  const flags = [
    ...(isNewer && !needs.endsWith("+") ? [`--blender ${needs}+ (a newer one, all frames in the same)`] : []),
    ...(farm.length > 0 ? ["--blender any (whatever there is; frames may differ)"] : []),
  ];
  if (flags.length === 0) return said;
  return `${said} To render it with what there is: ${COMMAND} cancel ${task_id}, and submit it again with ${flags.join(" or ")}.`;
}
