/**
 * A farm at work on `npm start`, with a record of all that its processes do to the state folder
 * (`recorder.c`). Every answer is noted with the length of the record when it came: what the manager had
 * written before it answered is in that part of the record.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { receiptSchema } from "../../src/protocol/file.ts";
import { claimedSchema, settledSchema, type Lease } from "../../src/protocol/lease.ts";
import { tokenCreatedSchema } from "../../src/protocol/token.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { SimulatedAgent, type Habits } from "../chaos/agent.ts";
import { Journal } from "../chaos/event-journal.ts";
import { HttpPort } from "../chaos/http-port.ts";
import type { Answer, Call, Port } from "../chaos/port.ts";
import type { Rng } from "../chaos/rng.ts";
import { startManager, taskOf, type Manager } from "../support/farm.ts";
import { until } from "../support/wait.ts";

/** Something that was answered 2xx, when the record was `at` bytes long. */
interface At {
  at: number;
}

/** A lease that a worker was given, and what it was answered about it. */
export interface NotedLease extends At {
  lease: Lease;
  worker: number;
  secret: string;
  receipts: ({ frame: number; receipt: string } & At)[];
  /** Frames that were taken with a 2xx. */
  done: ({ frame: number } & At)[];
  /** When the lease was settled. */
  settled: number | undefined;
}

export interface Recording {
  /** The state folder as it was named in the record, and the record. */
  root: string;
  record: Buffer;
  token: string;
  tasks: ({ id: number; frames: number } & At)[];
  assets: ({ sha256: string; bytes: Buffer } & At)[];
  tokens: ({ id: number; secret: string } & At)[];
  leases: NotedLease[];
  journal: Journal;
}

const TASKS = 4;
const WORKERS = 3;
const FRAMES = 16;
/** The shortest that there is: after a cut, frames of lost leases wait for it. */
const LEASE_S = 5;
const HABITS: Habits = { renderMs: [5, 60], fail: 0, release: 0, careful: true, idleMs: 100 };

/** Compile the library that records; answers with its file. Needs a C compiler. */
export function buildRecorder(folder: string): string {
  const file = path.join(folder, "recorder.so");
  const source = path.join(import.meta.dirname, "recorder.c");
  execFileSync("cc", ["-O1", "-Wall", "-Werror", "-Wno-nonnull", "-shared", "-fPIC", "-o", file, source, "-ldl"]);
  return file;
}

/** A worker's connection that notes what was answered. */
class NotingPort implements Port {
  readonly #port: HttpPort;
  readonly #notes: Pick<Recording, "leases">;
  readonly #now: () => number;
  readonly #worker: { id: number; secret: string };

  constructor(
    port: HttpPort,
    notes: Pick<Recording, "leases">,
    worker: { id: number; secret: string },
    now: () => number,
  ) {
    this.#port = port;
    this.#notes = notes;
    this.#worker = worker;
    this.#now = now;
  }

  async call(call: Call): Promise<Answer> {
    const answer = await this.#port.call(call);
    if (answer.status >= 200 && answer.status < 300) this.#note(call, answer.body, this.#now());
    return answer;
  }

  #note(call: Call, body: unknown, at: number): void {
    switch (call.verb) {
      case "ask":
        return;
      case "claim":
        return this.#given(claimedSchema.parse(body).lease, at);
      case "upload": {
        const { receipt } = receiptSchema.parse(body);
        const noted = this.#notes.leases.find(({ lease }) => lease.grant === call.grant);
        const frame = noted?.lease.plan.outputs.find(({ name }) => name === call.name)?.frame;
        if (noted && frame !== undefined && frame !== null) noted.receipts.push({ frame, receipt, at });
        return;
      }
      case "renew":
      case "complete":
      case "fail":
      case "release": {
        const noted = this.#notes.leases.find(({ lease }) => lease.lease_id === call.lease);
        const done = call.body["done"] as { frame: number }[];
        noted?.done.push(...done.map(({ frame }) => ({ frame, at })));
        if (call.verb === "renew") return;
        if (noted) noted.settled = at;
        this.#given(settledSchema.parse(body).next?.lease, at);
      }
    }
  }

  #given(lease: Lease | null | undefined, at: number): void {
    const { id: worker, secret } = this.#worker;
    if (lease) this.#notes.leases.push({ lease, worker, secret, receipts: [], done: [], settled: undefined, at });
  }
}

/** A worker of a farm that is made of simulated agents. */
export async function joinWorker(
  manager: Manager,
  rng: Rng,
  journal: Journal,
  wrap: (port: HttpPort, worker: { id: number; secret: string }) => Port = (port) => port,
): Promise<{ id: number; secret: string; agent: SimulatedAgent; end(): Promise<void> }> {
  const json = {
    hostname: `host-${rng.word(6)}`,
    system: "Linux",
    platform: "linux",
    programs: { "tablao-tool": "1" },
  };
  const registered = await manager.client.call(workerRegisteredSchema, "POST", "/workers", { json });
  const worker = Object.values(registered)[0]!;
  const own = { id: worker.id, secret: worker.secret! };
  const port = new HttpPort({ url: manager.url, worker: own.id, secret: own.secret, journal });
  const agent = new SimulatedAgent({
    worker: own.id,
    rng: rng.fork("life"),
    port: wrap(port, own),
    journal,
    habits: HABITS,
    sleep: (ms) => sleep(ms),
    now: () => performance.now(),
  });
  agent.start();
  const end = async (): Promise<void> => {
    agent.kill();
    await agent.running;
    port.close();
  };
  return { ...own, agent, end };
}

/** Let a farm work, and record it. `folder`: an empty one. */
export async function recordFarm(rng: Rng, folder: string, library: string): Promise<Recording> {
  const root = path.join(folder, "state");
  const log = path.join(folder, "record");
  const env = { LD_PRELOAD: library, POWER_CUT_ROOT: root, POWER_CUT_LOG: log };
  const manager = await startManager({ state: root, env });
  const now = (): number => statSync(log).size;
  const recording: Recording = {
    root,
    record: Buffer.alloc(0),
    token: manager.token,
    tasks: [],
    assets: [],
    tokens: [],
    leases: [],
    journal: new Journal(),
  };
  const people = new AbortController();
  const artist = storeAssets(manager, rng.fork("assets"), recording, now, people.signal);
  const workers = await Promise.all(
    Array.from({ length: WORKERS }, (_, i) =>
      joinWorker(
        manager,
        rng.fork(`worker/${i}`),
        recording.journal,
        (port, worker) => new NotingPort(port, recording, worker, now),
      ),
    ),
  );
  for (let n = 1; n <= TASKS; n++) {
    await submit(manager, rng.fork(`task/${n}`), recording, now);
    const json = { role: "viewer", name: `viewer ${n}` };
    const made = await manager.client.call(tokenCreatedSchema, "POST", "/tokens", { json });
    recording.tokens.push({ id: made.id, secret: made.token, at: now() });
  }
  for (const { id } of recording.tasks)
    await until(async () => (await taskOf(manager, id)).status === "completed", { what: `task ${id} is completed` });
  people.abort();
  await artist;
  for (const worker of workers) await worker.end();
  await manager.kill();
  if (recording.journal.surprises.length > 0) throw new Error(recording.journal.surprises.join("\n"));
  recording.record = readFileSync(log);
  return recording;
}

async function submit(manager: Manager, rng: Rng, recording: Recording, now: () => number): Promise<void> {
  const json = {
    type: "demo_render",
    settings: { frames: `1-${FRAMES}`, width: 16, height: 16 },
    chunk: rng.pick([1, 2, 3]),
    lease_s: LEASE_S,
    tries: 20,
  };
  const { id } = await manager.client.call(z.object({ id: z.int() }), "POST", "/tasks", { json });
  recording.tasks.push({ id, frames: FRAMES, at: now() });
}

/** An artist whose inputs go up while the others work. */
async function storeAssets(
  manager: Manager,
  rng: Rng,
  recording: Recording,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const bytes = Buffer.from(rng.word(64).repeat(rng.pick([1, 50, 500, 4_000])));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const headers = { authorization: `Bearer ${manager.token}` };
    const { status } = await fetch(`${manager.url}/assets/${sha256}`, { method: "PUT", headers, body: bytes });
    if (status !== 201) throw new Error(`PUT /assets was answered ${status}`);
    recording.assets.push({ sha256, bytes, at: now() });
    await sleep(rng.int(20, 150));
  }
}
