/** A task's events in D1. */
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import { historyPageSchema, type EventKind, type HistoryEvent } from "../../src/protocol/history.ts";
import { fileListSchema, type FileList } from "../../src/protocol/file.ts";
import type { Manager } from "./farm.ts";
import { until } from "./wait.ts";

/** All events of a task, oldest first. */
export async function eventsOf(manager: Pick<Manager, "client">, taskId: number): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  let cursor = "";
  do {
    const page = await manager.client.call(
      historyPageSchema,
      "GET",
      `/history?task_id=${taskId}&limit=500${cursor && `&cursor=${cursor}`}`,
    );
    events.push(...page.events);
    cursor = page.cursor ?? "";
  } while (cursor !== "");
  return events.toSorted((a, b) => a.seq - b.seq);
}

/** All events, once an event of this kind has reached D1: history is written later. */
export async function eventsThrough(
  manager: Pick<Manager, "client">,
  taskId: number,
  kind: EventKind,
): Promise<HistoryEvent[]> {
  return await until(
    async () => {
      const events = await eventsOf(manager, taskId);
      return events.some((event) => event.kind === kind) && events;
    },
    { what: `the history of task ${taskId} says ${kind}`, everyMs: 300 },
  );
}

export interface FrameEvent {
  frame: number;
  worker: number | null;
  attempt: number | null;
  at_ms: number;
}

/** One entry for each frame of each event of this kind, in the order in which it happened. */
export function framesIn(events: readonly HistoryEvent[], kind: "done" | "error" | "lost"): FrameEvent[] {
  return events
    .filter((event) => event.kind === kind)
    .flatMap(({ frames, worker_id: worker, attempt, at_ms }) =>
      numbersIn(frames ?? "").map((frame) => ({ frame, worker, attempt, at_ms })),
    );
}

/** The numbers of a frame list. */
export function numbersIn(frames: string): number[] {
  const parsed = parseFrameList(frames);
  if (!parsed.ok) throw new Error(`the manager wrote a frame list that ${parsed.error}`);
  return [...framesOf(parsed.value)];
}

/** Ascending numbers. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Committed files of a task (up to 500), in frame order. */
export async function filesOf(manager: Pick<Manager, "client">, taskId: number): Promise<FileList["files"]> {
  return (await manager.client.call(fileListSchema, "GET", `/tasks/${taskId}/files?limit=500`)).files;
}
