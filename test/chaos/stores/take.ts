/**
 * Take what a version of the manager stores: `node test/chaos/stores/take.ts FILE`, run in a checkout of that version, with this
 * file put beside the rest of its test/chaos. Real workerd, real calls; then it is killed, and its databases are read from
 * outside. What is taken once stays in the repository: later versions must be able to go on from it
 * (`test/workerd/upgrade.test.ts`).
 */
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HttpPort } from "../http-port.ts";
import { Journal } from "../journal.ts";
import { buildBundle, Manager } from "../manager.ts";
import type { Answer, LeaseVerb } from "../port.ts";

type Row = Record<string, string | number | null>;

/** One object's database. */
interface Store {
  create: string[];
  tables: Record<string, Row[]>;
}

interface Lease {
  lease_id: string;
  attempt: number;
  grant: string;
  plan: { outputs: { name: string; frame: number }[] };
}

const folder = mkdtempSync(path.join(tmpdir(), "tablao-store-"));
const manager = new Manager(await buildBundle(path.join(folder, "bundle")), folder);
await manager.start();
await manager.applySchema();
// D1 is away, so that history waits in the objects.
await manager.setFaults({ d1: { rate: 1, how: ["refuse"], slowMs: 0 }, r2: null, task: null, registry: null }, "1");

const journal = new Journal();
const ports: HttpPort[] = [];
for (const hostname of ["anvil", "bellows"]) {
  const programs = { "tablao-tool": "1" };
  const body = await admin("POST", "/workers", { hostname, system: "Linux", platform: "linux", programs });
  const worker = Object.values(body as Record<string, { id: number; secret: string }>)[0]!;
  ports.push(new HttpPort({ url: manager.url, worker: worker.id, secret: worker.secret, journal }));
}
const [anvil, bellows] = ports as [HttpPort, HttpPort];
await admin("PATCH", "/settings/lease_s", { value: 90 });
await admin("POST", "/tokens", { role: "artist", name: "ana" });

const render = { type: "demo_render", lease_s: 3_600 };
const print = { type: "print_string", lease_s: 3_600, chunk: 1 };
// 1: in the middle of it, with frames of every kind. 2: waits for it frame by frame. 3: paused. 4: a long history. 5: done.
await admin("POST", "/tasks", {
  ...render,
  settings: { frames: "1-12", width: 16, height: 16 },
  tries: 1,
  task_id: 41,
});
await admin("POST", "/tasks", { ...render, settings: { frames: "1-12" }, depends_on: [{ task: 1, frames: "same" }] });
await admin("POST", "/tasks", { ...print, settings: { frames: "1-9:2", text: "x" }, priority: 80 });
await admin("PATCH", "/tasks/3", { status: "pause" });
await admin("POST", "/tasks", { ...print, settings: { frames: "1-150", text: "x" }, name: "long" });
await admin("POST", "/tasks", { ...print, settings: { frames: "-2-2", text: "x" } });
await admin("PATCH", "/tasks/1", { status: "skip", frames: "11" });

await complete(anvil, 1, await claim(anvil, 1));
const failing = await claim(anvil, 1);
await settle(anvil, 1, failing, "fail", { done: [], frames: "2", error: "no camera", next: null });
await complete(bellows, 1, await claim(bellows, 1));
const released = await claim(bellows, 1);
await upload(bellows, 1, released);
await settle(bellows, 1, released, "release", { done: [], reason: "stopping" });
const live = await claim(anvil, 1);
await upload(anvil, 1, live);
for (let i = 0; i < 130; i++) await complete(anvil, 4, await claim(anvil, 4));
for (let i = 0; i < 5; i++) await complete(bellows, 5, await claim(bellows, 5));
// What a task owes the registry is told within seconds.
await new Promise((resolve) => setTimeout(resolve, 3_000));
const objects = (await manager.control("objects")) as { key: string; text: string }[];
await manager.kill();
for (const port of ports) port.close();
if (journal.surprises.length > 0) throw new Error(journal.surprises.join("\n"));

const stores = databases(path.join(folder, "state")).map(read);
const tasks = stores.filter(({ tables }) => tables["definition"]?.length === 1);
const registry = stores.find(({ tables }) => tables["workers"]?.length === 2);
if (tasks.length !== 5 || !registry) throw new Error(`found ${tasks.length} tasks`);
const taken = {
  taken_ms: Date.now(),
  live: { lease_id: live.lease_id, attempt: live.attempt },
  registry,
  tasks,
  objects,
};
writeFileSync(process.argv[2]!, `${JSON.stringify(taken, null, 1)}\n`);
process.exit(0);

async function admin(method: string, route: string, body: object): Promise<unknown> {
  const answer = await manager.admin(method, route, body);
  if (answer.status >= 300) throw new Error(`${method} ${route}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

async function claim(port: HttpPort, task: number): Promise<Lease> {
  const key = `store-${String(Math.random()).slice(2, 14)}`;
  const answer = await port.call({ verb: "claim", task, body: { key, platform: "linux", epoch: 99 } });
  const { lease } = ok(answer) as { lease: Lease | null };
  if (!lease) throw new Error(`task ${task} gives nothing: ${JSON.stringify(answer.body)}`);
  return lease;
}

async function upload(
  port: HttpPort,
  task: number,
  { grant, plan }: Lease,
): Promise<{ frame: number; receipts: string[] }[]> {
  const done = [];
  for (const { name, frame } of plan.outputs) {
    const answer = await port.call({ verb: "upload", task, name, grant, bytes: `pixels of ${name}`, inParts: false });
    done.push({ frame, receipts: [(ok(answer) as { receipt: string }).receipt] });
  }
  return done;
}

async function complete(port: HttpPort, task: number, lease: Lease & { frames?: string }): Promise<void> {
  const files = await upload(port, task, lease);
  const done = files.length > 0 ? files : [{ frame: Number(lease.frames), receipts: [] }];
  await settle(port, task, lease, "complete", { done: done.map((one) => ({ ...one, seconds: 1.5 })), next: null });
}

async function settle(port: HttpPort, task: number, lease: Lease, verb: LeaseVerb, more: object): Promise<void> {
  ok(await port.call({ verb, task, lease: lease.lease_id, body: { attempt: lease.attempt, ...more } }));
}

function ok({ status, body }: Answer): unknown {
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body;
}

function databases(under: string): string[] {
  const found = readdirSync(under, { recursive: true, encoding: "utf8" });
  return found.filter((name) => name.endsWith(".sqlite")).map((name) => path.join(under, name));
}

function read(file: string): Store {
  const db = new DatabaseSync(file);
  const master = db.prepare("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").all();
  const own = master.filter(({ name }) => !/^(_cf|sqlite_)/.test(String(name)));
  const names = own.filter(({ type }) => type === "table").map(({ name }) => String(name));
  const tables = Object.fromEntries(names.map((name) => [name, db.prepare(`SELECT * FROM "${name}"`).all() as Row[]]));
  db.close();
  return { create: own.map(({ sql }) => String(sql)), tables };
}
