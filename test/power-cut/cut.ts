/** What must be true of a farm after a power cut at one place of its record. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { missingResultSchema } from "../../src/protocol/file.ts";
import { historyPageSchema } from "../../src/protocol/history.ts";
import { framesOf, parseFrameList } from "../../src/protocol/frame-list.ts";
import { framesPageSchema, type Frame } from "../../src/protocol/task.ts";
import { outputId, Journal } from "../chaos/event-journal.ts";
import { HttpPort } from "../chaos/http-port.ts";
import type { Rng } from "../chaos/rng.ts";
import { startManager, taskOf, type Manager } from "../support/farm.ts";
import { until } from "../support/wait.ts";
import { operations, type Disk, type Luck } from "./disk.ts";
import { joinWorker, type NotedLease, type Recording } from "./recording.ts";

/** Make the folder as the disk may be left by a cut now. The index of SQLite's log is in memory only. */
export function leaveDisk(disk: Disk, root: string, folder: string, rng: Rng, luck: Luck): void {
  const { folders, files } = disk.afterCut(rng, luck);
  const here = (name: string): string => folder + name.slice(root.length);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of folders.toSorted()) mkdirSync(here(name), { recursive: true, mode: 0o700 });
  for (const [name, bytes] of files) {
    if (name.endsWith("-shm")) continue;
    mkdirSync(path.dirname(here(name)), { recursive: true, mode: 0o700 });
    writeFileSync(here(name), bytes, { mode: 0o600 });
  }
  chmodSync(folder, 0o700);
}

/** Bring the disk from byte `from` of the record to byte `to`. */
export function advance(disk: Disk, record: Buffer, from: number, to: number): void {
  for (const operation of operations(record, from, to)) disk.apply(operation);
}

/**
 * Start a manager on what a cut at byte `at` left, and look for what had been answered; then let workers
 * finish. Answers with what is wrong. `history`: wait for it, too, which takes half a minute.
 */
export async function lookAfterCut(
  recording: Recording,
  at: number,
  state: string,
  rng: Rng,
  history: boolean,
): Promise<string[]> {
  const { token, journal } = recording;
  const problems: string[] = [];
  const report = (text: string): void => void problems.push(text);
  const had = <T extends { at: number }>(all: readonly T[]): T[] => all.filter((one) => one.at <= at);
  const manager = await startManager({ state, token });
  const later = new Journal();
  for (const [key, bytes] of journal.sent) later.sent.set(key, bytes);
  try {
    for (const { id } of had(recording.tasks))
      if (!(await exists(manager, id))) report(`P4: task ${id} was accepted and is gone`);
    if (problems.length > 0) return problems;
    for (const { secret, id } of had(recording.tokens)) {
      const answer = await fetch(`${manager.url}/tasks`, { headers: { authorization: `Bearer ${secret}` } });
      await answer.arrayBuffer();
      if (answer.status !== 200) report(`P4: token ${id} was given and does not work: ${answer.status}`);
    }
    await lookAtAssets(manager, had(recording.assets), report);
    const leases = had(recording.leases);
    for (const noted of leases) await lookAtDone(manager, noted, at, journal, report);
    for (const noted of leases)
      if (noted.settled === undefined || noted.settled > at) await goOn(manager, noted, at, later, report);
    await finish(manager, recording, leases, rng, later, report);
    if (history) for (const { id, frames } of had(recording.tasks)) await lookAtHistory(manager, id, frames, report);
    return [...problems, ...later.surprises];
  } finally {
    await manager.kill();
  }
}

async function exists(manager: Manager, task: number): Promise<boolean> {
  const answer = await fetch(`${manager.url}/tasks/${task}`, { headers: bearer(manager) });
  await answer.arrayBuffer();
  return answer.status === 200;
}

const bearer = (manager: Manager): Record<string, string> => ({ authorization: `Bearer ${manager.token}` });

type Report = (text: string) => void;

async function lookAtAssets(manager: Manager, assets: Recording["assets"], report: Report): Promise<void> {
  if (assets.length === 0) return;
  const json = { sha256: assets.map(({ sha256 }) => sha256) };
  const { missing } = await manager.client.call(missingResultSchema, "POST", "/assets/missing", { json });
  for (const { sha256, bytes } of assets) {
    if (missing.includes(sha256)) report(`P4: input ${sha256} of ${bytes.length} bytes was taken and is missing`);
    const answer = await fetch(`${manager.url}/assets/${sha256}`, { headers: bearer(manager) });
    const left = Buffer.from(await answer.arrayBuffer());
    if (answer.status !== 200 || !left.equals(bytes))
      report(`P4: input ${sha256} of ${bytes.length} bytes was taken; it is read as ${answer.status}, ${left.length}`);
  }
}

async function framesOfTask(manager: Manager, task: number): Promise<Frame[]> {
  const page = await manager.client.call(framesPageSchema, "GET", `/tasks/${task}/frames?limit=1000`);
  return page.frames;
}

/** P4: frames that were taken from a lease are done, under its attempt, and their files are what was sent. */
async function lookAtDone(
  manager: Manager,
  noted: NotedLease,
  at: number,
  journal: Journal,
  report: Report,
): Promise<void> {
  const { task_id: task, attempt } = noted.lease;
  const done = noted.done.filter((one) => one.at <= at).map(({ frame }) => frame);
  const frames = await framesOfTask(manager, task);
  for (const number of done) {
    const frame = frames.find((one) => one.frame === number);
    if (frame?.state !== "done" || frame.attempt !== attempt)
      report(`P4: frame ${number} of task ${task} was taken from attempt ${attempt}; it is ${JSON.stringify(frame)}`);
    else await lookAtFiles(manager, task, frame, journal, report);
  }
}

/** P3: the files of a done frame hold what its attempt sent. */
async function lookAtFiles(
  manager: Manager,
  task: number,
  frame: Frame,
  journal: Journal,
  report: Report,
): Promise<void> {
  for (const { name } of frame.files) {
    const sent = journal.sent.get(outputId(task, frame.attempt!, name));
    const path = `/tasks/${task}/frames/${frame.frame}/file`;
    const answer = await fetch(manager.url + path, { headers: bearer(manager) });
    const text = await answer.text();
    if (answer.status !== 200 || text !== sent)
      report(
        `P3: ${name} of task ${task}, attempt ${frame.attempt}, was sent with ${sent?.length} characters; ` +
          `it is read as ${answer.status} with ${text.length}`,
      );
  }
}

/** A worker that lived on tells the manager what it has of a lease that was not settled. */
async function goOn(manager: Manager, noted: NotedLease, at: number, journal: Journal, report: Report): Promise<void> {
  const { lease, worker, secret } = noted;
  const had = new Map(noted.receipts.filter((one) => one.at <= at).map((one) => [one.frame, one.receipt]));
  const done = [...had].map(([frame, receipt]) => ({ frame, seconds: 1, receipts: [receipt] }));
  const port = new HttpPort({ url: manager.url, worker, secret, journal });
  const body = { attempt: lease.attempt, done, reason: "stopping" };
  const call = { verb: "release", task: lease.task_id, lease: lease.lease_id, body } as const;
  const answer = await until(async () => await port.call(call).catch(() => undefined), {
    what: "a release is answered",
  });
  port.close();
  // Settled with other words before the cut, or its time is up.
  if (answer.status === 409) return;
  if (answer.status !== 200) {
    report(
      `P4: the release of a lease of task ${lease.task_id} was answered ${answer.status}: ${JSON.stringify(answer.body)}`,
    );
    return;
  }
  const taken = noted.lease.plan.outputs.filter(({ frame }) => frame !== null && had.has(frame)).map((o) => o.frame);
  const frames = await framesOfTask(manager, lease.task_id);
  for (const number of taken) {
    const frame = frames.find((one) => one.frame === number);
    if (frame?.state === "done") await lookAtFiles(manager, lease.task_id, frame, journal, report);
    else report(`P4: frame ${number} of task ${lease.task_id} was just taken; it is ${frame?.state}`);
  }
}

/** New workers finish all tasks: each frame is there once, with the bytes of its attempt. */
async function finish(
  manager: Manager,
  recording: Recording,
  leases: readonly NotedLease[],
  rng: Rng,
  journal: Journal,
  report: Report,
): Promise<void> {
  const given = new Set(leases.map(({ lease }) => `${lease.task_id}/${lease.attempt}`));
  const worker = await joinWorker(manager, rng, journal);
  try {
    for (const { id, frames: count } of recording.tasks) {
      if (!(await exists(manager, id))) continue;
      await until(async () => (await taskOf(manager, id)).status === "completed", { what: `task ${id} is completed` });
      const frames = await framesOfTask(manager, id);
      if (frames.length !== count || frames.some(({ state }) => state !== "done"))
        report(`P1: the completed task ${id} has frames that are not done`);
      for (const frame of frames) await lookAtFiles(manager, id, frame, journal, report);
    }
  } finally {
    await worker.end();
  }
  // P2: an attempt's number is never given again.
  for (const key of journal.sent.keys()) {
    const [task, attempt] = key.split("/");
    if (!recording.journal.sent.has(key) && given.has(`${task}/${attempt}`))
      report(`P2: attempt ${attempt} of task ${task} was given twice`);
  }
}

/** P7: each frame is reported as done exactly once. */
async function lookAtHistory(manager: Manager, task: number, count: number, report: Report): Promise<void> {
  const events = await until(
    async () => {
      const page = await manager.client.call(historyPageSchema, "GET", `/history?task_id=${task}&limit=500`);
      return page.events.some(({ kind }) => kind === "completed") ? page.events : undefined;
    },
    { what: `the history says that task ${task} is completed` },
  );
  const times = new Map<number, number>();
  for (const { kind, frames } of events) {
    const list = kind === "done" ? parseFrameList(frames!) : undefined;
    for (const frame of list?.ok ? framesOf(list.value) : []) times.set(frame, (times.get(frame) ?? 0) + 1);
  }
  for (const [frame, said] of times)
    if (said !== 1) report(`P7: the history says ${said} times that frame ${frame} of task ${task} is done`);
  if (times.size !== count) report(`P7: the history knows ${times.size} done frames of task ${task}`);
}
