/** Queue a task, and the task that makes a video of another task's frames. */
import { randomUUID } from "node:crypto";
import type { ManagerClient } from "../client/manager-client.ts";
import { videoInput, videoSubmission } from "../compilers/ffmpeg-video.ts";
import { taskSchema, type Task } from "../protocol/task.ts";
import { CliError, EXIT } from "./failure.ts";

/**
 * How long the manager may take to answer. It looks up every input; a manager of an earlier release
 * does so one by one, six at a time, which takes 17 ms each where a look-up takes 100. A shorter
 * time would give up a submission whose files have all been sent.
 */
const TIMEOUT_MS = 60_000;
const TIMEOUT_MS_PER_INPUT = 30;
/** How long a submission with files is tried: their upload may have taken hours. */
const RETRY_FOR_MS = 2 * 60_000;

/**
 * The call is repeated when its reply is lost; the key keeps that from queueing the task twice.
 * `inputs`: how many files the body names.
 */
export async function queueTask(client: ManagerClient, body: Record<string, unknown>, inputs = 0): Promise<Task> {
  return await client.call(taskSchema, "POST", "/tasks", {
    json: body,
    headers: { "idempotency-key": randomUUID() },
    ...(inputs > 0 && { timeoutMs: TIMEOUT_MS + inputs * TIMEOUT_MS_PER_INPUT, retryForMs: RETRY_FOR_MS }),
  });
}

/**
 * Extension of the files of a format that a video can be made of; throws `CliError` for other
 * formats.
 */
export function videoExtension(format: string): string {
  const ext = videoInput(format);
  if (ext === undefined)
    throw new CliError(
      EXIT.usage,
      `--video needs a task that makes pictures, and this one makes ${format || "no files"}`,
    );
  return ext;
}

/** Queue the task that makes a video of another task's frames when all of them are done. */
export async function submitVideo(
  client: ManagerClient,
  task: Task,
  fps: number | undefined,
  name: string | undefined,
): Promise<Task> {
  const ext = videoExtension(task.format);
  const title = name ?? task.name;
  return await queueTask(client, {
    ...videoSubmission(task.id, ext, `${fileStem(title) || `task-${task.id}`}.mp4`, fps),
    name: `${title} (video)`.trim().slice(-200),
    priority: task.priority,
    depends_on: [task.id],
  });
}

/** The part of a task's name that can be a file name on every system. */
function fileStem(name: string): string {
  return name
    .replaceAll(/[^\p{L}\p{N}._ -]/gu, "_")
    .replace(/^[. ]+/, "")
    .replace(/[. ]+$/, "")
    .slice(0, 60);
}
