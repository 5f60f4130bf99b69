/**
 * An agent without a machine: it makes the calls of `src/agent` at the times of `src/agent`. It has
 * a log buffer of its own, so that renewals that carry the log come at the same times.
 */
import { LogBuffer } from "../../../src/agent/log-buffer.ts";
import { PREVIEW_SUFFIX } from "../../../src/protocol/file.ts";
import { framesOf, parseFrameList } from "../../../src/protocol/frame-list.ts";
import type { Claim, Claimed, DoneFrame, Lease, Renewed, Settled } from "../../../src/protocol/lease.ts";
import { ACCESS_TOKEN_MS, type Access } from "../../../src/protocol/token.ts";
import type { WorkerPatched } from "../../../src/protocol/worker.ts";
import type { WholeTask } from "../counts.ts";

/** One request to the manager's Worker; returns the JSON, throws when it is refused. */
export type Send = (
  method: string,
  path: string,
  token: string,
  body?: { json: unknown } | { bytes: Uint8Array<ArrayBuffer>; headers: Record<string, string> },
) => Promise<unknown>;

/** As in `client/manager-client.ts`: a token is not used in its last ten seconds. */
const ACCESS_FOR_MS = ACCESS_TOKEN_MS - 10_000;
/** As in `agent/worker.ts`. */
const BUSY_REPORT_MS = 5 * 60_000;
/** As in `agent/lease-process.ts`: lines that only report progress go to the log this often. */
const NOISE_EVERY_MS = 2_000;
/** As in `agent/claim-loop.ts`. */
const REFUSE_MS = 5_000;
/** Bytes of a frame: counts do not depend on it. */
const FRAME_BYTES = 1_000;

export class SimulatedAgent {
  readonly #send: Send;
  readonly #clock: { nowMs: number };
  readonly #work: WholeTask;
  readonly #id: number;
  readonly #secret: string;
  #access = { token: "", untilMs: -Infinity };
  #reportMs: number;
  #epoch = 0;
  #called = false;
  #held: Held | null = null;
  /** Leases that it has settled. */
  leases = 0;

  private constructor(send: Send, clock: { nowMs: number }, work: WholeTask, worker: { id: number; secret: string }) {
    this.#send = send;
    this.#clock = clock;
    this.#work = work;
    this.#id = worker.id;
    this.#secret = worker.secret;
    this.#reportMs = clock.nowMs + BUSY_REPORT_MS;
  }

  static async join(
    send: Send,
    adminToken: string,
    clock: { nowMs: number },
    options: WholeTask & { name: string },
  ): Promise<SimulatedAgent> {
    const json = { hostname: options.name, system: "Linux", platform: "linux", programs: { "tablao-tool": "1" } };
    const registered = await send("POST", "/workers", adminToken, { json });
    const [worker] = Object.values(registered as Record<string, { id: number; secret: string }>);
    return new SimulatedAgent(send, clock, options, worker!);
  }

  /** When it acts next; Infinity while it waits for a push. */
  get dueMs(): number {
    if (this.#held) return Math.min(this.#held.dueMs(this.#clock.nowMs), this.#reportMs);
    return this.#called ? this.#clock.nowMs : Infinity;
  }

  /** A push says that there may be work. */
  called(): void {
    this.#called = true;
  }

  /** Do what is due. */
  async step(): Promise<void> {
    const held = this.#held;
    const { nowMs } = this.#clock;
    if (!held) return await this.#ask(undefined);
    if (nowMs >= this.#reportMs) {
      this.#reportMs = nowMs + BUSY_REPORT_MS;
      await this.#call("PATCH", `/workers/${this.#id}`, { json: { update_frequent: LOAD } });
    }
    held.print(nowMs);
    const frame = held.saved(nowMs);
    if (frame !== undefined) await this.#upload(held, frame);
    if (held.left.length === 0) return await this.#complete(held);
    if (nowMs >= held.renewalMs(nowMs)) await this.#renew(held);
  }

  async #ask(refused: { task_id: number; retry_after_ms: number } | undefined): Promise<void> {
    this.#called = false;
    const json = { status: "available", ...(refused && { refused }) };
    const answer = (await this.#call("PATCH", `/workers/${this.#id}`, { json })) as WorkerPatched;
    if (answer.task_id === null) return;
    this.#epoch = answer.epoch;
    const claimed = await this.#call("POST", `/tasks/${answer.task_id}/leases`, { json: this.#claim() });
    await this.#take(answer.task_id, claimed as Claimed);
  }

  async #take(task: number, claimed: Claimed): Promise<void> {
    if (claimed.lease) {
      this.#held = new Held(claimed.lease, this.#work, this.#clock.nowMs);
      return;
    }
    this.#held = null;
    const refused = { task_id: task, retry_after_ms: claimed.retry_after_ms ?? REFUSE_MS };
    await this.#ask(claimed.reason === "outranked" ? undefined : refused);
  }

  async #upload({ lease, done }: Held, frame: number): Promise<void> {
    const own = lease.plan.outputs.find((output) => output.frame === frame)!.name;
    const receipts: string[] = [];
    for (const name of this.#work.previews ? [own, own + PREVIEW_SUFFIX] : [own]) {
      const bytes = Uint8Array.from(new TextEncoder().encode(name.padEnd(FRAME_BYTES)));
      const headers = {
        "Tablao-Grant-Token": lease.grant,
        "Tablao-SHA256": await sha256(bytes),
        "Content-Length": String(bytes.length),
      };
      const stored = await this.#call("PUT", `/tasks/${lease.task_id}/outputs/${name}`, { bytes, headers });
      receipts.push((stored as { receipt: string }).receipt);
    }
    done.push({ frame, seconds: this.#work.frameMs / 1_000, receipts });
  }

  async #renew(held: Held): Promise<void> {
    const { lease } = held;
    const json = { attempt: lease.attempt, done: held.fresh(), progress: 0.5, ...held.takeLog() };
    const renewed = await this.#call("POST", `/tasks/${lease.task_id}/leases/${lease.lease_id}/renew`, { json });
    lease.grant = (renewed as Renewed).grant;
    held.renewed(this.#clock.nowMs);
  }

  async #complete(held: Held): Promise<void> {
    const { lease, done } = held;
    const json = { attempt: lease.attempt, done, next: this.#claim(), ...held.takeLog() };
    const path = `/tasks/${lease.task_id}/leases/${lease.lease_id}/complete`;
    const settled = (await this.#call("POST", path, { json })) as Settled;
    this.leases++;
    await this.#take(lease.task_id, settled.next!);
  }

  #claim(): Claim {
    return { key: crypto.randomUUID(), platform: "linux", epoch: this.#epoch };
  }

  async #call(method: string, path: string, body: Parameters<Send>[3]): Promise<unknown> {
    const { nowMs } = this.#clock;
    if (nowMs >= this.#access.untilMs) {
      const bought = (await this.#send("POST", "/auth/access", this.#secret)) as Access;
      this.#access = { token: bought.access_token, untilMs: nowMs + ACCESS_FOR_MS };
    }
    return await this.#send(method, path, this.#access.token, body);
  }
}

/** A lease under way. */
class Held {
  readonly lease: Lease;
  readonly done: DoneFrame[] = [];
  readonly left: number[];
  readonly #frameMs: number;
  readonly #log = new LogBuffer();
  #savedMs: number;
  #renewedMs: number;
  #printedMs: number;
  #handed = 0;

  constructor(lease: Lease, { frameMs, loadMs }: WholeTask, nowMs: number) {
    const list = parseFrameList(lease.frames);
    if (!list.ok) throw new Error(list.error);
    this.lease = lease;
    this.left = [...framesOf(list.value)];
    this.#frameMs = frameMs;
    this.#savedMs = nowMs + loadMs;
    this.#renewedMs = this.#printedMs = nowMs;
    this.#log.add("Blender 3.4.1", nowMs);
  }

  dueMs(nowMs: number): number {
    return Math.min(this.#savedMs + this.#frameMs, this.renewalMs(nowMs), this.#printedMs + NOISE_EVERY_MS);
  }

  renewalMs(nowMs: number): number {
    return Math.min(this.#renewedMs + this.lease.lease_ms / 3, this.#log.dueMs(nowMs, false) ?? Infinity);
  }

  /** Print progress lines of the renderer. */
  print(nowMs: number): void {
    if (nowMs < this.#printedMs + NOISE_EVERY_MS) return;
    this.#printedMs = nowMs;
    this.#log.add("Fra:1 Mem:9.04M (Peak 10.83M) | Time:00:00.13 | Rendering", nowMs);
  }

  /** The frame that is ready now; it is removed from the list. */
  saved(nowMs: number): number | undefined {
    if (nowMs < this.#savedMs + this.#frameMs) return undefined;
    this.#savedMs += this.#frameMs;
    this.#log.add(`Saved: 'frame_${this.left[0]}.png'`, nowMs);
    return this.left.shift();
  }

  renewed(nowMs: number): void {
    this.#renewedMs = nowMs;
  }

  /** Frames done since the last renewal. */
  fresh(): DoneFrame[] {
    const fresh = this.done.slice(this.#handed);
    this.#handed = this.done.length;
    return fresh;
  }

  takeLog(): { log?: string } {
    const log = this.#log.take();
    return log === "" ? {} : { log };
  }
}

const LOAD = { load_average: { "1min": 1, "5min": 1, "15min": 1 }, worker_cpu_percent: 100 };

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
