/**
 * Virtual time, and a deterministic process: timers, the clock, random numbers and keys all come
 * from the run's seed, so that a run is the same every time. One event at a time, and all promises
 * settle before the next one.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Rng } from "../rng.ts";

interface Timer {
  atMs: number;
  order: number;
  run: () => void;
}

const real = { setImmediate };

export class World {
  /** Virtual and monotonic: the clock of the agents. */
  readonly startMs = 1_800_000_000_000;
  nowMs = this.startMs;
  /** How far the manager's clock is ahead. */
  offsetMs = 0;
  #order = 0;
  readonly #timers = new Map<number, Timer>();

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Run something later; the returned number cancels it. */
  after(ms: number, run: () => void): number {
    const order = ++this.#order;
    this.#timers.set(order, { atMs: this.nowMs + Math.max(0, Math.ceil(ms || 0)), order, run });
    return order;
  }

  cancel(timer: number): void {
    this.#timers.delete(timer);
  }

  /** Run events until `done`, until there are none, or until the time is up. */
  async run(done: () => boolean, forMs: number): Promise<boolean> {
    const limitMs = this.nowMs + forMs;
    await settled();
    while (!done()) {
      let next: Timer | undefined;
      for (const timer of this.#timers.values())
        if (!next || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order)) next = timer;
      if (!next || next.atMs > limitMs) return false;
      this.#timers.delete(next.order);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
      await settled();
    }
    return true;
  }

  /** Run events until this instant, and set the clock to it. */
  async until(atMs: number): Promise<void> {
    await this.run(() => false, atMs - this.nowMs);
    this.nowMs = Math.max(this.nowMs, atMs);
  }
}

/** Wait until every promise that can settle has settled: all microtasks run before an immediate. */
export function settled(): Promise<void> {
  return new Promise((resolve) => real.setImmediate(resolve));
}

let chance: Rng | undefined;
const nextRandom = (): number => {
  if (!chance) throw new Error("nothing may be left to chance outside of a world");
  return chance.next();
};

/**
 * Call this before the product is loaded: some of its modules keep a reference to `Math.random`
 * when they load.
 */
export function takeOver(): void {
  Math.random = nextRandom;
}

/**
 * Give this process the clock, timers and random numbers of a world, and keys that sign without a
 * thread pool.
 */
export function enter(world: World, rng: Rng): void {
  Date.now = () => world.nowMs + world.offsetMs;
  chance = rng;
  const timers = {
    setTimeout: (run: () => void, ms: number) => world.after(ms, run),
    clearTimeout: (timer: number | undefined) => timer !== undefined && world.cancel(timer),
  };
  Object.assign(globalThis, timers);
  Object.defineProperty(globalThis, "crypto", { value: cryptoOf(rng), configurable: true });
}

interface Key {
  raw: Uint8Array;
}

function cryptoOf(rng: Rng): object {
  const hmac = (key: Key, data: Uint8Array): Buffer => createHmac("sha256", key.raw).update(data).digest();
  return {
    randomUUID: () => `${rng.word(8)}-${rng.word(4)}-${rng.word(4)}-${rng.word(4)}-${rng.word(12)}`,
    getRandomValues: (array: Uint8Array) => array.map(() => rng.int(0, 255)),
    subtle: {
      importKey: async (_: string, raw: Uint8Array): Promise<Key> => ({ raw }),
      sign: async (_: string, key: Key, data: Uint8Array) => new Uint8Array(hmac(key, data)).buffer,
      verify: async (_: string, key: Key, mac: Uint8Array, data: Uint8Array) => {
        const right = hmac(key, data);
        return mac.length === right.length && timingSafeEqual(mac, right);
      },
      digest: async (_: string, data: Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest()).buffer,
    },
  };
}
