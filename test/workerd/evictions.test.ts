/**
 * The whole main path over HTTP, from the first token to the deletion of the task, twice:
 * undisturbed, and with the registry and the task's object evicted before every request. Both runs
 * must get the same answers.
 */
import { env } from "cloudflare:workers";
import { evictDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { leaseSchema, type Lease } from "../../src/protocol/lease.ts";
import { receiptSchema } from "../../src/protocol/file.ts";
import { workerRegisteredSchema } from "../../src/protocol/worker.ts";
import { fresh, uploadOf } from "./api-farm.ts";
import { newToken, send, type Sent } from "./http-client.ts";

/** Fields that differ in every run: times, ids, signed and random values. */
const VARYING_FIELDS = /(_ms|^id|_id|^ids|grant|secret|receipt|token|key|hostname|etag|eta|owner)$/;

/**
 * How many evictions succeeded. An object that was not called since the last eviction cannot be
 * evicted.
 */
let evictions = 0;

async function evict(stub: DurableObjectStub): Promise<void> {
  try {
    await evictDurableObject(stub);
    evictions++;
  } catch (error) {
    if (!String(error).includes("not currently running")) throw error;
  }
}

class Path {
  readonly answers: string[] = [];
  readonly #evict: boolean;
  #task = 0;

  constructor(evict: boolean) {
    this.#evict = evict;
  }

  async #ask(method: string, path: string, sent: Sent = {}): Promise<{ status: number; body: unknown }> {
    if (this.#evict) {
      await evict(registryStub(env));
      if (this.#task > 0) await evict(taskStub(env, this.#task));
    }
    const answer = await send(method, path, sent);
    const bytes = await answer.arrayBuffer();
    const isJson = answer.headers.get("Content-Type")?.includes("json");
    const body: unknown = isJson ? JSON.parse(new TextDecoder().decode(bytes)) : `${bytes.byteLength} bytes`;
    const plain = JSON.stringify(body, (name, value: unknown) => (VARYING_FIELDS.test(name) ? undefined : value));
    const route = path
      .replaceAll(/\/[0-9a-f]{8}-[0-9a-f-]{27}/g, "/{lease}")
      .replaceAll(/(tasks|workers)\/\d+/g, "$1/{id}");
    const own = plain.replaceAll(/host-\d+/g, "host").replaceAll(/ of task \d+/g, " of task");
    this.answers.push(`${method} ${route} ${answer.status} ${own}`);
    return { status: answer.status, body };
  }

  async #filesVersion(at: string): Promise<string> {
    const { body } = await this.#ask("GET", at);
    return (body as { files_version: string }).files_version;
  }

  async walk(): Promise<void> {
    const { token: join } = await newToken("join");
    const { token: artist } = await newToken("artist");
    const hostname = fresh("host");
    const register = { hostname, system: "Linux", platform: "linux", programs: { "tablao-tool": "1" } };
    const registered = await this.#ask("POST", "/workers", { token: join, json: register });
    const [worker] = Object.values(workerRegisteredSchema.parse(registered.body));
    const { id, secret } = worker!;
    const token = secret!;
    const settings = { frames: "1-9", width: 8, height: 8 };
    const submit = { type: "demo_render", settings, chunk: 2, priority: 99, task_id: 7 };
    const submitted = await this.#ask("POST", "/tasks", { token: artist, json: submit });
    this.#task = (submitted.body as { id: number }).id;
    await this.#ask("POST", "/tasks", { token: artist, json: submit });
    const at = `/tasks/${this.#task}`;
    const asked = await this.#ask("PATCH", `/workers/${id}`, { token, json: { status: "available" } });
    expect((asked.body as { task_id: number }).task_id).toBe(this.#task);

    const claim = { key: fresh("walk-key"), platform: "linux", epoch: 1e12 };
    const first = await this.#claim(token, claim);
    expect((await this.#claim(token, claim)).lease_id).toBe(first.lease_id);
    const done = [await this.#render(token, first, 0)];
    await this.#settle(token, first, "renew", { done, progress: 0.5 });
    done.push(await this.#render(token, first, 1));
    const next = { key: fresh("walk-key"), platform: "linux", epoch: 1e12 };
    const body = { done, next, log: "two frames\n" };
    await this.#settle(token, first, "complete", body);
    await this.#settle(token, first, "complete", body);
    const second = await this.#claim(token, next);
    await this.#settle(token, second, "fail", { frames: "3", error: "no camera", next: null });
    await this.#settle(token, second, "renew", {});
    const third = await this.#claim(token, { ...claim, key: fresh("walk-key") });
    await this.#settle(token, third, "release", { done: [await this.#render(token, third, 0)], reason: "stopping" });
    for (const json of [
      { status: "pause" },
      { status: "resume", priority: 98 },
      { status: "skip", frames: "9" },
      { status: "requeue", frames: "1,9", files_version: await this.#filesVersion(at) },
      { name: "walked" },
      { status: "skip", frames: "1" },
    ])
      await this.#ask("PATCH", at, { token: artist, json });
    const fourth = await this.#claim(token, { ...claim, key: fresh("walk-key") });
    await this.#ask("GET", at);
    await this.#ask("GET", `${at}/frames?limit=100`);
    await this.#ask("GET", `${at}/files`);
    await this.#ask("GET", `${at}/frames/2/file`);
    await this.#ask("GET", `${at}/zip`);
    await this.#ask("GET", `${at}/log`);
    await this.#ask("GET", `${at}/why`);
    await this.#ask("PATCH", at, { token: artist, json: { status: "cancel" } });
    await this.#settle(token, fourth, "renew", {});
    await this.#ask("PATCH", at, { token: artist, json: { status: "requeue" } });
    for (;;) {
      const given = await this.#ask("POST", `${at}/leases`, { token, json: { ...claim, key: fresh("walk-key") } });
      const { lease } = given.body as { lease: Lease | null };
      if (!lease) break;
      const frames = [];
      for (const i of lease.plan.outputs.keys()) frames.push(await this.#render(token, lease, i));
      await this.#settle(token, lease, "complete", { done: frames, next: null });
    }
    await this.#ask("GET", at);
    await this.#ask("DELETE", at, { token: artist });
    await this.#ask("GET", at);
    await this.#ask("DELETE", `/workers/${id}`);
    await this.#ask("PATCH", `/workers/${id}`, { token, json: { status: "available" } });
  }

  async #claim(token: string, json: object): Promise<Lease> {
    const { body } = await this.#ask("POST", `/tasks/${this.#task}/leases`, { token, json });
    return leaseSchema.parse((body as { lease: unknown }).lease);
  }

  async #render(
    token: string,
    lease: Lease,
    i: number,
  ): Promise<{ frame: number; seconds: number; receipts: string[] }> {
    const { frame, name } = lease.plan.outputs[i]!;
    const upload = { token, ...(await uploadOf(lease, `pixels of ${name} under ${lease.attempt}`)) };
    const { body } = await this.#ask("PUT", `/tasks/${this.#task}/outputs/${name}`, upload);
    return { frame, seconds: 2, receipts: [receiptSchema.parse(body).receipt] };
  }

  async #settle(token: string, { lease_id, attempt }: Lease, verb: string, more: object): Promise<void> {
    const json = { attempt, ...more };
    await this.#ask("POST", `/tasks/${this.#task}/leases/${lease_id}/${verb}`, { token, json });
  }
}

test("P1–P4: the main path is answered alike when registry and task are evicted before every request", async () => {
  const [calm, evicted] = [new Path(false), new Path(true)];
  await calm.walk();
  await evicted.walk();
  expect(evicted.answers).toEqual(calm.answers);
  expect(evictions).toBeGreaterThan(calm.answers.length);
  expect(calm.answers.length).toBeGreaterThan(50);
  const statuses = new Set(calm.answers.map((answer) => answer.split(" ")[2]));
  expect([...statuses].toSorted()).toEqual(["200", "201", "202", "204", "404", "409"]);
  expect(calm.answers.filter((answer) => answer.includes('"status":"completed"')).length).toBeGreaterThan(0);
});
