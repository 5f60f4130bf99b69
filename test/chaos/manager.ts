/**
 * The manager of a chaos run, from outside: build, start, kill, restart on the same state, and the
 * switches for faults.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { freePort } from "../support/ports.ts";
import { schemaStatements } from "../support/schema.ts";
import type { ManagerFaults } from "./manager-faults.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");
const READY_WITHIN_MS = 120_000;

/** Bundle the chaos entry as a deployment would be; returns the bundle's file. */
export async function buildBundle(folder: string): Promise<string> {
  const wrangler = path.join(
    path.dirname(createRequire(import.meta.url).resolve("wrangler/package.json")),
    "wrangler-dist/cli.js",
  );
  const config = path.join(import.meta.dirname, "wrangler.toml");
  const args = ["--no-warnings", wrangler, "deploy", "--dry-run", "--config", config, "--outdir", folder];
  const env = { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false", WRANGLER_WRITE_LOGS: "false" };
  await promisify(execFile)(process.execPath, args, { cwd: CHECKOUT, env, timeout: 180_000 });
  return path.join(folder, "worker.js");
}

export class Manager {
  readonly #bundle: string;
  readonly #folder: string;
  readonly token: string;
  port = 0;
  /** How far its clock is ahead of ours. */
  offsetMs = 0;
  #child: ChildProcess | undefined;

  constructor(bundle: string, folder: string) {
    this.#bundle = bundle;
    this.#folder = folder;
    this.token = "chaos-admin-token-7fQx2LmV9cTzRk4wNbHs";
    mkdirSync(folder, { recursive: true });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Start it on the state in its folder. */
  async start(): Promise<void> {
    this.port ||= await freePort();
    const { port, token, offsetMs } = this;
    const start = { bundle: this.#bundle, state: path.join(this.#folder, "state"), port, token, offsetMs };
    const child = spawn(
      process.execPath,
      ["--no-warnings", path.join(import.meta.dirname, "manager-child.ts"), JSON.stringify(start)],
      { cwd: CHECKOUT, detached: true, stdio: ["ignore", "pipe", "pipe", "ipc"] },
    );
    this.#child = child;
    const log = (data: Buffer): void => appendFileSync(this.logFile, data);
    child.stdout!.on("data", log);
    child.stderr!.on("data", log);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`the manager does not start: see ${this.logFile}`)),
        READY_WITHIN_MS,
      );
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Error(`the manager ended with ${code}: ${this.log().slice(-500)}`)));
      child.once("close", () => clearTimeout(timer));
      child.once("message", () => clearTimeout(timer));
    });
  }

  get logFile(): string {
    return path.join(this.#folder, "manager.log");
  }

  log(): string {
    try {
      return readFileSync(this.logFile, "utf8");
    } catch {
      return "";
    }
  }

  /** SIGKILL to workerd and its whole process group. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const closed = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      return;
    }
    await closed;
  }

  /** Create the D1 tables with the migrations. */
  async applySchema(): Promise<void> {
    await this.control("schema", { statements: schemaStatements() });
  }

  async setFaults(faults: ManagerFaults, seed: string): Promise<unknown> {
    return await this.control("faults", { faults, seed });
  }

  async setClock(offsetMs: number): Promise<void> {
    this.offsetMs = offsetMs;
    await this.control("clock", { offset_ms: offsetMs });
  }

  /** A switch of the chaos entry: POST with a body, GET without. */
  async control(what: string, body?: object): Promise<unknown> {
    const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const response = await fetch(`${this.url}/__chaos/${what}`, { ...init, signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(`${what}: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  /**
   * A call as admin that bypasses the faulty network; repeated while the manager is away or busy.
   */
  async admin(method: string, route: string, body?: object): Promise<{ status: number; body: unknown }> {
    const limitMs = performance.now() + 60_000;
    for (;;) {
      try {
        const response = await fetch(this.url + route, {
          method,
          headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
          ...(body && { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(15_000),
        });
        const text = await response.text();
        if (response.status < 500) return { status: response.status, body: text === "" ? null : JSON.parse(text) };
        if (performance.now() > limitMs) throw new Error(`${method} ${route}: ${response.status} ${text}`);
      } catch (error) {
        if (performance.now() > limitMs) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
