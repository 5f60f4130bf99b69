/**
 * A requeue of frames by name, finished ones included, as the command line and the page make it: look
 * at the finished frames, ask a person, and send the request with the version of the files that was
 * seen. Other frames of a busy task are finished all the time, which makes the version stale: then it is
 * looked again, and the request is sent again only if the finished frames are still those that the
 * person was asked about. Pure but for the calls that it is given.
 */
import { ALL_FRAMES } from "./constants.ts";
import type { Frame, Task, TaskPatch } from "./task.ts";

/** Frames in one answer of the manager; the most it gives. */
const PAGE = 1_000;
/**
 * How often a request is sent. Fewer: a frame of a task that many workers render could not be asked for.
 */
const TRIES = 10;

/** What is read of the task. */
type SeenTask = Pick<Task, "files_version" | "frames" | "format">;

/** The calls to the manager; each throws what its caller throws for a refusal. */
export interface RequeueCalls {
  task: () => Promise<SeenTask>;
  /** A page of `GET /tasks/{id}/frames` with this query. */
  frames: (query: { frames: string; state: "done"; limit: number; cursor?: string }) => Promise<{
    frames: Pick<Frame, "frame" | "attempt">[];
    cursor: string | null;
  }>;
  patch: (patch: TaskPatch) => Promise<unknown>;
  /** Whether the manager refused the patch with `conflict` for its `files_version`. */
  isStale: (thrown: unknown) => boolean;
}

/** Frames were finished after the person was asked. Nothing more is changed. */
export class FinishedMeanwhile extends Error {
  constructor() {
    super("Some of these frames were finished meanwhile, and are left as they are. Look at them, and ask again.");
    this.name = "FinishedMeanwhile";
  }
}

/** What was seen of one list. */
interface Seen {
  count: number;
  /** Another text when one of the finished frames is rendered again, or one more is finished. */
  key: string;
  version: string | undefined;
}

export class NamedRequeue {
  readonly #calls: RequeueCalls;
  readonly #lists: readonly { frames: string; seen: Seen }[];

  /** Whether the task's frames have files, which a requeue of finished ones deletes. */
  readonly makesFiles: boolean;

  private constructor(calls: RequeueCalls, task: SeenTask, lists: readonly { frames: string; seen: Seen }[]) {
    this.#calls = calls;
    this.makesFiles = task.format !== "";
    this.#lists = lists;
  }

  /** Look at these frame lists, or `all`, of a task. */
  static async read(calls: RequeueCalls, lists: readonly string[]): Promise<NamedRequeue> {
    // The task is read first: a frame that is finished between the two reads makes its version stale.
    const task = await calls.task();
    const read: { frames: string; seen: Seen }[] = [];
    for (const frames of lists) read.push({ frames, seen: await look(calls, task, frames) });
    return new NamedRequeue(calls, task, read);
  }

  /** How many finished frames are among them. */
  get finished(): number {
    return this.#lists.reduce((sum, { seen }) => sum + seen.count, 0);
  }

  /** Send it. Throws `FinishedMeanwhile`, and what the calls throw. */
  async send(): Promise<void> {
    for (const { frames, seen } of this.#lists) {
      let { version } = seen;
      for (let tries = 1; ; tries++) {
        try {
          await this.#calls.patch({ status: "requeue", frames, files_version: version });
          break;
        } catch (thrown) {
          if (!this.#calls.isStale(thrown) || tries === TRIES) throw thrown;
        }
        const now = await look(this.#calls, await this.#calls.task(), frames);
        if (now.key !== seen.key) throw new FinishedMeanwhile();
        ({ version } = now);
      }
    }
  }
}

/** Look at the finished frames of a list, after the task was read. */
async function look(calls: RequeueCalls, task: SeenTask, frames: string): Promise<Seen> {
  const { files_version: version, frames: counts } = task;
  if (frames === ALL_FRAMES) return { count: counts.done, key: version ?? "", version };
  const found: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await calls.frames({ frames, state: "done", limit: PAGE, ...(cursor && { cursor }) });
    found.push(...page.frames.map(({ frame, attempt }) => `${frame}/${attempt}`));
    ({ cursor } = page);
  }
  return { count: found.length, key: found.join(","), version };
}
