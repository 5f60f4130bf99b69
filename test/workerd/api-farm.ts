/**
 * A small farm with one of everything, for tests that call every route. It is built over HTTP only,
 * as users build theirs.
 */
import { vi } from "vitest";
import { crc32, crc32Text } from "../../src/lib/crc32.ts";
import { leaseSchema, type Lease } from "../../src/protocol/lease.ts";
import { receiptSchema } from "../../src/protocol/file.ts";
import { tokenCreatedSchema } from "../../src/protocol/token.ts";
import { newTask, newToken, newWorker, okJson, send, type Sent } from "./http-client.ts";
import { sha256 } from "./files-call.ts";

let counter = 0;

/** A text that no other call in this test file got. */
export function fresh(what: string): string {
  return `${what}-${String(++counter).padStart(6, "0")}`;
}

/** An address that no other call has. Failed tokens are counted by address, and tests send many. */
export function freshAddress(): string {
  counter++;
  return `10.${(counter >> 16) & 255}.${(counter >> 8) & 255}.${counter & 255}`;
}

/** A demo task of this owner, with frames 1 to 4. */
export async function newRender(token?: string, more: Record<string, unknown> = {}): Promise<number> {
  return await newTask(token, { type: "demo_render", settings: { frames: "1-4", width: 8, height: 8 }, ...more });
}

/** Lease the task's next chunk. */
export async function claim(token: string, task: number): Promise<Lease> {
  // An old epoch would send a worker to the registry first. This epoch is newer than every one of
  // the farm.
  const json = { key: fresh("claim-key"), platform: "linux", epoch: 1e12 };
  const answer = await okJson(await send("POST", `/tasks/${task}/leases`, { token, json }), 200);
  return leaseSchema.parse(answer["lease"]);
}

/** The request of an upload of these bytes under this lease. */
export async function uploadOf(lease: Pick<Lease, "grant">, content: string | Uint8Array<ArrayBuffer>): Promise<Sent> {
  const body = typeof content === "string" ? Uint8Array.from(new TextEncoder().encode(content)) : content;
  const headers = {
    "Content-Length": String(body.length),
    "Tablao-SHA256": await sha256(body),
    "Tablao-CRC32": crc32Text(crc32(body)),
    "Tablao-Grant-Token": lease.grant,
  };
  return { body, headers };
}

/** Upload one output; returns its receipt. */
export async function upload(token: string, lease: Lease, name: string, content: string): Promise<string> {
  const path = `/tasks/${lease.task_id}/outputs/${name}`;
  const answer = await send("PUT", path, { token, ...(await uploadOf(lease, content)) });
  return receiptSchema.parse(await okJson(answer, 201)).receipt;
}

/** Upload and complete every frame of a lease. */
export async function finish(token: string, lease: Lease, content = "pixels"): Promise<void> {
  const done = [];
  for (const { frame, name } of lease.plan.outputs)
    done.push({ frame, seconds: 1, receipts: [await upload(token, lease, name, `${content} ${frame}`)] });
  const json = { attempt: lease.attempt, done };
  await okJson(await send("POST", `/tasks/${lease.task_id}/leases/${lease.lease_id}/complete`, { token, json }), 200);
}

/**
 * The kinds of callers. `owner` is the artist whose task it is, `worker` holds a lease of it;
 * `artist` and `other` do not. `share` has a link to the task, `stray` a link to another task.
 */
export const CALLERS = [
  "none",
  "expired",
  "revoked",
  "viewer",
  "owner",
  "artist",
  "worker",
  "other",
  "join",
  "admin",
  "share",
  "stray",
] as const;
export type Caller = (typeof CALLERS)[number];

export interface Farm {
  /** Secrets by caller; null sends no token. A link belongs to a task: see `linkTo`. */
  tokens: Record<Exclude<Caller, "share">, string | null>;
  /** Access tokens of the callers that can get one. */
  access: Partial<Record<Caller, string>>;
  ids: Record<"viewer" | "owner" | "artist" | "worker" | "other", number>;
}

/** The token of a share link to this task. */
export async function linkTo(task: number): Promise<string> {
  const answer = await okJson(await send("POST", `/tasks/${task}/share`, { json: {} }), 201);
  return answer["token"] as string;
}

/** The cookie a page gets for this token. */
export async function cookieFor(token: string): Promise<string> {
  const answer = await send("POST", "/auth/session", { token: null, json: { token } });
  await okJson(answer, 201);
  return answer.headers.get("Set-Cookie")!.split(";")[0]!;
}

/**
 * A farm with a token for each caller. The expired and the revoked token were valid admin tokens
 * before.
 */
export async function newFarm(): Promise<Farm> {
  const [viewer, owner, artist, join, revoked] = [
    await newToken("viewer"),
    await newToken("artist", "twin"),
    await newToken("artist", "twin"),
    await newToken("join"),
    await newToken("admin", "revoked"),
  ];
  const json = { role: "admin", name: "expired", expires_s: 1 };
  const expired = tokenCreatedSchema.parse(await okJson(await send("POST", "/tokens", { json }), 201));
  await send("DELETE", `/tokens/${revoked.id}`);
  const [worker, other] = [await newWorker("box"), await newWorker("box")];
  await vi.waitUntil(() => Date.now() > expired.expires_ms!, { timeout: 120_000 });
  const tokens: Farm["tokens"] = {
    none: null,
    expired: expired.token,
    revoked: revoked.token,
    viewer: viewer.token,
    owner: owner.token,
    artist: artist.token,
    worker: worker.secret,
    other: other.secret,
    join: join.token,
    admin: (await newToken("admin", "boss")).token,
    stray: await linkTo(await newTask()),
  };
  const ids = { viewer: viewer.id, owner: owner.id, artist: artist.id, worker: worker.id, other: other.id };
  return { tokens, access: await buyAccess(tokens), ids };
}

/** Access tokens, valid for a minute. */
export async function buyAccess(tokens: Farm["tokens"]): Promise<Farm["access"]> {
  const access: Farm["access"] = {};
  for (const caller of ["viewer", "owner", "artist", "worker", "other", "admin"] as const) {
    const answer = await okJson(await send("POST", "/auth/access", { token: tokens[caller] }), 200);
    access[caller] = answer["access_token"] as string;
  }
  return access;
}

/**
 * What a refused request must not change: the newest tasks and their logs, workers, settings,
 * tokens. Fields that only record the time of a call (`last_used_ms`, `last_seen_ms`) are left out.
 */
export async function stateOf(): Promise<string> {
  const read = async (path: string): Promise<unknown> => await (await send("GET", path)).json();
  const lists = [await read("/tasks?limit=4"), await read("/workers"), await read("/settings"), await read("/tokens")];
  const tasks = (lists[0] as { tasks: { id: number }[] }).tasks;
  for (const { id } of tasks.slice(0, 2)) lists.push(await read(`/tasks/${id}`), await read(`/tasks/${id}/log`));
  return JSON.stringify(lists, (key, value: unknown) =>
    ["last_used_ms", "last_seen_ms", "updated_ms", "until_ms", "connection"].includes(key) ? undefined : value,
  );
}
