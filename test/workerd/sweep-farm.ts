/**
 * A farm for tests of the sweep of inputs: inputs in the real bucket and index, tasks in their objects,
 * and a sweep whose clock the test sets, and whose calls the test can break or follow.
 */
import { env as bindings } from "cloudflare:workers";
import { expect } from "vitest";
import {
  sweepInputs,
  type SweepDependencies,
  type SweepOrder,
  type SweepProgress,
} from "../../src/files/input-sweep.ts";
import type { InputStorage } from "../../src/files/input-index.ts";
import { sweepDependencies } from "../../src/http/unused-inputs.ts";
import type { Env } from "../../src/rpc/env.ts";
import { sha256, text } from "./files-call.ts";
import { okJson, send } from "./http-client.ts";

export const DAY_MS = 86_400_000;
export const env = bindings as unknown as Env;
export const { FILES, HISTORY } = env;

export interface Row {
  sha256: string;
  size: number;
  used_ms: number;
  deleting_until_ms: number | null;
  deleted: number;
  pieces: string | null;
}

/** What happens to one call of a sweep. */
export type Step = (carryOut: () => Promise<unknown>, what: string) => Promise<unknown>;

export class SweepFarm {
  /** The sweep's clock. It moves by a millisecond whenever it is read. */
  nowMs = Date.now() + 40 * DAY_MS;
  order: SweepOrder = { days: 30, deletes: true };
  /** The calls of the sweep so far, each as text. */
  readonly calls: string[] = [];
  step: Step = async (carryOut) => await carryOut();

  /** No inputs, no run, and no first week. */
  static async empty(): Promise<SweepFarm> {
    for (const prefix of ["assets/", "unindexed/", "used/", "parts/", "farm/sweeping"]) {
      const { objects } = await FILES.list({ prefix });
      if (objects.length > 0) await FILES.delete(objects.map(({ key }) => key));
    }
    await HISTORY.batch([
      HISTORY.prepare("DELETE FROM inputs"),
      HISTORY.prepare("UPDATE inputs_fill SET complete = 1"),
      HISTORY.prepare("DELETE FROM input_sweep"),
      HISTORY.prepare("INSERT INTO input_sweep (id, deletes_after_ms) VALUES (1, 0)"),
    ]);
    return new SweepFarm();
  }

  readonly #real = sweepDependencies(env);

  /** The sweep's dependencies, each call of which goes through `step`. */
  get dependencies(): SweepDependencies {
    const { taskIds, inputsNamed, notThere } = this.#real;
    const through = <A extends unknown[], T>(what: string, call: (...args: A) => Promise<T>) =>
      (async (...args: A) => await this.#through(what, () => call(...args))) as (...args: A) => Promise<T>;
    return {
      storage: this.#storage(),
      taskIds: through("task ids", taskIds),
      inputsNamed: through("inputs named", inputsNamed),
      notThere: through("not there", notThere),
      now: () => ++this.nowMs,
    };
  }

  async #through<T>(what: string, call: () => Promise<T>): Promise<T> {
    this.calls.push(what);
    return (await this.step(call, what)) as T;
  }

  #storage(): InputStorage {
    const wrapped = <T extends object>(target: T, names: readonly string[], kind: string): T =>
      new Proxy(target, {
        get: (_, name) => {
          const method = (target as Record<PropertyKey, unknown>)[name] as (...args: unknown[]) => Promise<unknown>;
          if (!names.includes(String(name))) return method.bind(target);
          return (...args: unknown[]) => this.#through(`${kind} ${String(name)}`, () => method.apply(target, args));
        },
      });
    return {
      FILES: wrapped(FILES, ["head", "get", "put", "list", "delete"], "R2"),
      HISTORY: wrapped(HISTORY, ["batch"], "D1"),
    };
  }

  /** One call of the sweep. */
  async sweep(): Promise<SweepProgress> {
    return await sweepInputs(this.dependencies, this.order);
  }

  /** Calls until nothing is left to do, as the command line makes them. */
  async sweepAll(): Promise<SweepProgress> {
    for (let calls = 0; calls < 60; calls++) {
      const progress = await this.sweep();
      if (progress.done) return progress;
      this.nowMs += progress.wait_ms;
    }
    throw new Error("the sweep has no end");
  }

  /** Store an input as an upload does; answers with its hash. */
  async store(content: string, more: Partial<Row> = {}): Promise<string> {
    const hash = await sha256(text(content));
    await FILES.put(`assets/${hash}`, content, { customMetadata: { sha256: hash } });
    await HISTORY.prepare("INSERT INTO inputs (sha256, size, stored_ms, used_ms, pieces) VALUES (?, ?, ?3, ?4, ?5)")
      .bind(hash, more.size ?? content.length, Date.now(), more.used_ms ?? Date.now(), more.pieces ?? null)
      .run();
    return hash;
  }

  /** Store a piece list and its pieces. */
  async storeList(pieces: readonly string[]): Promise<{ list: string; pieces: string[] }> {
    const hashes: string[] = [];
    const used_ms = Date.now();
    for (const piece of pieces) hashes.push(await this.store(piece, { used_ms }));
    const lines = pieces.map((piece, i) => `${piece.length} ${hashes[i]!}\n`).join("");
    const list = await this.store(`tablao-pieces 1\n${lines}`, { used_ms, pieces: JSON.stringify(hashes) });
    return { list, pieces: hashes };
  }

  async rows(): Promise<Row[]> {
    return (await HISTORY.prepare("SELECT * FROM inputs ORDER BY sha256").all<Row>()).results;
  }

  /** The hashes of the inputs in the bucket. */
  async stored(): Promise<Set<string>> {
    const { objects } = await FILES.list({ prefix: "assets/" });
    return new Set(objects.map(({ key }) => key.slice("assets/".length)));
  }

  /**
   * What must hold at any moment: the inputs of tasks are there, whatever is live is there, and no
   * piece is less recently used than its list.
   */
  async expectTruth(inUse: readonly string[]): Promise<void> {
    const [rows, stored] = [await this.rows(), await this.stored()];
    expect(inUse.filter((hash) => !stored.has(hash))).toEqual([]);
    const live = new Map(rows.filter((row) => row.deleting_until_ms === null).map((row) => [row.sha256, row]));
    expect([...live.keys()].filter((hash) => !stored.has(hash))).toEqual([]);
    for (const { pieces, used_ms } of live.values())
      for (const piece of JSON.parse(pieces ?? "[]") as string[])
        expect(live.get(piece)?.used_ms).toBeGreaterThanOrEqual(used_ms);
  }
}

/** Submit a task that names these inputs; answers with its id. */
export async function submitWith(inputs: readonly { sha256: string; size: number }[]): Promise<number> {
  const assets = inputs.map((input, i) => ({ ...input, path: i === 0 ? "shot.blend" : `textures/${i}.png` }));
  const json = { type: "blender_render", settings: { file: "shot.blend", frames: "1", assets } };
  return (await okJson(await send("POST", "/tasks", { json }), 202))["id"] as number;
}
