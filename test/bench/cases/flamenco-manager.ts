/**
 * Flamenco 3's own manager as a process, and its workers' protocol, for comparison. This project
 * contains none of its code.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { startChild, type Child } from "../../support/child.ts";
import { until } from "../../support/wait.ts";
import { request } from "../request.ts";
import type { Side } from "./side.ts";

export class FlamencoSide implements Side {
  readonly #child: Child;
  readonly #folder: string;
  readonly #api: string;
  readonly #agent: http.Agent;
  readonly #authorization: string[] = [];
  readonly #tasks: string[] = [];

  private constructor(child: Child, folder: string, api: string, agent: http.Agent) {
    this.#child = child;
    this.#folder = folder;
    this.#api = api;
    this.#agent = agent;
  }

  /** Start the manager on an empty folder, and sign on this many workers. */
  static async start(program: string, workers: number): Promise<FlamencoSide> {
    const folder = mkdtempSync(path.join(tmpdir(), "tablao-bench-flamenco-"));
    const port = await freePort();
    const shared = path.join(folder, "shared");
    mkdirSync(shared);
    const config = [
      "_meta: {version: 3}",
      "manager_name: bench",
      "database: flamenco-manager.sqlite",
      `listen: 127.0.0.1:${port}`,
      "autodiscoverable: false",
      "local_manager_storage_path: ./storage",
      `shared_storage_path: ${shared}`,
      "shaman: {enabled: false}",
    ];
    writeFileSync(path.join(folder, "flamenco-manager.yaml"), config.join("\n"));
    const child = startChild(program, ["-quiet"], { cwd: folder });
    const api = `http://127.0.0.1:${port}/api/v3`;
    const side = new FlamencoSide(child, folder, api, new http.Agent({ keepAlive: true }));
    await until(() => side.#call("GET", "/version", null), { what: "Flamenco's manager serves" });
    for (let n = 0; n < workers; n++) await side.#signOn(n);
    return side;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.#child.end("SIGINT");
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  async addThousand(): Promise<void> {
    const settings = {
      blendfile: "/shared/shot.blend",
      frames: "1-1000",
      chunk_size: 1,
      render_output_root: "/shared",
      add_path_components: 0,
      render_output_path: "/shared/######",
      format: "PNG",
      image_file_extension: ".png",
      fps: 24,
      has_previews: false,
      scene: "",
    };
    const job = { name: "shot", type: "simple-blender-render", priority: 50, submitter_platform: "manager", settings };
    await this.#call("POST", "/jobs", null, { ...job, metadata: {} });
  }

  async poll(worker: number): Promise<void> {
    const task = JSON.parse(await this.#call("POST", "/worker/task", worker)) as { uuid: string };
    this.#tasks[worker] = task.uuid;
  }

  async complete(worker: number): Promise<void> {
    await this.#call("POST", `/worker/task/${this.#tasks[worker]!}`, worker, { taskStatus: "completed" });
  }

  async completeAndPoll(worker: number): Promise<void> {
    await this.complete(worker);
    await this.poll(worker);
  }

  async #signOn(n: number): Promise<void> {
    const secret = `secret-${n}`;
    const supported_task_types = ["blender", "ffmpeg", "file-management", "misc"];
    const name = `worker-${n}`;
    const registration = { secret, platform: "linux", supported_task_types, name };
    const { uuid } = JSON.parse(await this.#call("POST", "/worker/register-worker", null, registration)) as {
      uuid: string;
    };
    this.#authorization[n] = `Basic ${Buffer.from(`${uuid}:${secret}`).toString("base64")}`;
    await this.#call("POST", "/worker/sign-on", n, { name, supported_task_types, software_version: "3" });
    await this.#call("POST", "/worker/state-changed", n, { status: "awake" });
  }

  async #call(method: string, where: string, worker: number | null, json?: object): Promise<string> {
    const headers: Record<string, string> = worker === null ? {} : { authorization: this.#authorization[worker]! };
    return await request(this.#agent, method, new URL(this.#api + where), headers, json);
  }
}

/** A free port. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
