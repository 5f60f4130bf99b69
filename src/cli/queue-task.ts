/** Queueing a task, and the task that makes a video of another one's frames. */
import { randomUUID } from "node:crypto";
import type { ManagerClient } from "../client/manager-client.ts";
import { taskSchema, type Task } from "../protocol/task.ts";
import { CliError, EXIT } from "./failure.ts";

/** Extension of a task's files, by the seed's `format` field. */
const EXTENSIONS: Record<string, string> = { PNG: "png", JPEG: "jpg", OPEN_EXR: "exr" };

/** A reply that is lost on the way is asked for again; the key keeps that from queueing the task twice. */
export async function queueTask(client: ManagerClient, body: Record<string, unknown>): Promise<Task> {
  return await client.call(taskSchema, "POST", "/tasks", { json: body, headers: { "idempotency-key": randomUUID() } });
}

/** Extension of the files of a format that can become a video; throws `CliError` when they cannot. */
export function videoExtension(format: string): string {
  const ext = EXTENSIONS[format];
  if (ext === undefined)
    throw new CliError(
      EXIT.usage,
      `--video needs a task that makes pictures, and this one makes ${format || "no files"}`,
    );
  return ext;
}

/** The task that makes a video of another one's frames, when all are done. */
export async function submitVideo(
  client: ManagerClient,
  task: Task,
  fps: number | undefined,
  name: string | undefined,
): Promise<Task> {
  const ext = videoExtension(task.format);
  const title = name ?? task.name;
  const settings = {
    task: task.id,
    ext,
    ...(fps !== undefined && { fps }),
    name: `${fileStem(title) || `task-${task.id}`}.mp4`,
  };
  return await queueTask(client, {
    type: "ffmpeg_video",
    settings,
    name: `${title} (video)`.trim().slice(-200),
    priority: task.priority,
    depends_on: [task.id],
  });
}

/** What of a name can be a file's name everywhere. */
function fileStem(name: string): string {
  return name
    .replaceAll(/[^\p{L}\p{N}._ -]/gu, "_")
    .replace(/^[. ]+/, "")
    .replace(/[. ]+$/, "")
    .slice(0, 60);
}
