/**
 * P9 as a table: what every route answers to every kind of caller. The table is the expectation and
 * is written by hand. It does not use the roles in the route table, and a route without a row here
 * fails the test.
 */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ROUTES } from "../../src/http/routes/index.ts";
import type { Lease } from "../../src/protocol/lease.ts";
import { pieceListText, type Piece } from "../../src/protocol/piece-list.ts";
import type { ProblemCode } from "../../src/protocol/problem.ts";
import { ACCESS_TOKEN_MS } from "../../src/protocol/token.ts";
import {
  buyAccess,
  CALLERS,
  claim,
  cookieFor,
  finish,
  fresh,
  freshAddress,
  linkTo,
  newFarm,
  newRender,
  stateOf,
  upload,
  uploadOf,
  type Caller,
  type Farm,
} from "./api-farm.ts";
import { HOST, newTask, newToken, newWorker, problem, send, type Sent } from "./http-client.ts";
import { sha256, text } from "./files-call.ts";

/**
 * What the requests of a row refer to: a task of `owner` with frame 1 committed and frame 2 leased
 * by `worker`.
 */
interface Scene {
  task: number;
  lease: Lease;
  /** The receipt of frame 2, uploaded under the lease. */
  receipt: string;
  /** The token of a share link to the task. */
  link: string;
}

interface Row {
  /** The status that allowed callers get. */
  ok: number;
  /** The allowed callers; all others get 401 without a valid token, 403 with one. */
  who: string;
  /** Callers that get another answer. */
  exceptions?: Partial<Record<Caller, ProblemCode | number>>;
  /** The request, valid in everything but its caller. Called again for each allowed caller. */
  ask: (scene: Scene, farm: Farm) => (Sent & { path: string }) | Promise<Sent & { path: string }>;
}

const EVERYBODY = CALLERS.join(" ");
const READERS = "viewer owner artist worker other admin";
const PEOPLE = "viewer owner artist admin";
/** Who may view one task; a link to another task gives no access. */
const VIEWERS = `${PEOPLE} share`;
const SUBMITTERS = "owner artist admin";
const HASH = "0".repeat(64);

const at = (path: string) => () => ({ path });
const ofTask = (rest: string) => (scene: Scene) => ({ path: `/tasks/${scene.task}${rest}` });
/** A worker reads files with the grant of its lease. */
const granted = (rest: string) => (scene: Scene) => ({
  path: `/tasks/${scene.task}${rest}`,
  headers: { "Tablao-Grant-Token": scene.lease.grant },
});
const settle = (verb: string, body: (scene: Scene) => object) => (scene: Scene) => ({
  path: `/tasks/${scene.task}/leases/${scene.lease.lease_id}/${verb}`,
  json: { attempt: scene.lease.attempt, ...body(scene) },
});

const BACKUP = "0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f";
/** Bytes for a restore that is not under way. */
const restoring = (path: string) => async () => {
  const { body, headers } = await uploadOf({ grant: "" }, "[]");
  return { path, body, headers: { ...headers, "Tablao-Backup": BACKUP } };
};

async function partOf(path: string, scene: Scene): Promise<Sent & { path: string }> {
  return { path, ...(await uploadOf(scene.lease, "part")) };
}

/** An asset whose one part is uploaded, and which is not joined yet. */
async function assetInParts(content: string): Promise<{ path: string; json: object }> {
  const hash = await sha256(text(content));
  await send("PUT", `/assets/${hash}/parts/1`, await uploadOf({ grant: "" }, content));
  return { path: `/assets/${hash}/assemble`, json: { size: content.length, sha256: hash } };
}

/** A build whose archive is uploaded. */
async function keptBuild(): Promise<{ path: string; json: { sha256: string; bytes: number; file_name: string } }> {
  const body = text(fresh("archive"));
  const hash = await sha256(body);
  const headers = { "Content-Length": String(body.length) };
  expect((await send("PUT", `/blender-files/${hash}`, { body, headers })).status).toBe(201);
  const json = { sha256: hash, bytes: body.length, file_name: "blender-4.5.3-linux-x64.tar.xz" };
  return { path: "/blender-builds/4.5.3/linux-x64", json };
}

async function newHook(): Promise<number> {
  const answer = await send("POST", "/webhooks", {
    json: { url: "https://hooks.example/matrix", events: ["task.failed"] },
  });
  return ((await answer.json()) as { id: number }).id;
}

async function newAsset(): Promise<Sent & { path: string }> {
  const sent = await uploadOf({ grant: "" }, fresh("asset"));
  return { path: `/assets/${sent.headers!["Tablao-SHA256"]}`, ...sent };
}

/** A piece list whose pieces are stored. */
async function newPieceList(): Promise<Sent & { path: string }> {
  const pieces: Piece[] = [];
  for (const content of [fresh("first piece"), fresh("last piece")]) {
    const sent = await uploadOf({ grant: "" }, content);
    const hash = sent.headers!["Tablao-SHA256"]!;
    await send("PUT", `/assets/${hash}`, sent);
    pieces.push({ sha256: hash, size: content.length });
  }
  const list = pieceListText(pieces);
  const headers = { "Content-Length": String(list.length) };
  return { path: `/assets/${await sha256(text(list))}/pieces`, body: list, headers };
}

/** The scripts name the program that is served, where the page was built before this test. */
const JOIN = (await send("GET", "/join", { token: null })).status === 200 ? 200 : 404;

const TABLE: Record<string, Row> = {
  "GET /": { ok: 200, who: EVERYBODY, ask: at("/") },
  "GET /app": { ok: 200, who: EVERYBODY, ask: at("/app") },
  "GET /app/{path}": { ok: 200, who: EVERYBODY, ask: at("/app/tasks/1") },
  "GET /healthz": { ok: 200, who: EVERYBODY, ask: at("/healthz") },
  "GET /openapi.json": { ok: 200, who: EVERYBODY, ask: at("/openapi.json") },
  "GET /join": { ok: JOIN, who: EVERYBODY, ask: at("/join") },
  "GET /join.sh": { ok: JOIN, who: EVERYBODY, ask: at("/join.sh") },
  "GET /join.ps1": { ok: JOIN, who: EVERYBODY, ask: at("/join.ps1") },
  "GET /problems/{code}": { ok: 200, who: EVERYBODY, ask: at("/problems/invalid") },

  "POST /auth/access": { ok: 200, who: READERS, ask: at("/auth/access") },
  // The token in the body counts, not the caller's.
  "POST /auth/session": {
    ok: 201,
    who: EVERYBODY,
    ask: (_scene, { tokens }) => ({ path: "/auth/session", json: { token: tokens.viewer } }),
  },
  "GET /auth/session": { ok: 200, who: `${VIEWERS} stray`, ask: at("/auth/session") },
  "DELETE /auth/session": { ok: 204, who: EVERYBODY, ask: at("/auth/session") },
  "GET /tokens": { ok: 200, who: "admin", ask: at("/tokens") },
  "POST /tokens": { ok: 201, who: "admin", ask: () => ({ path: "/tokens", json: { role: "viewer", name: "new" } }) },
  "DELETE /tokens/{id}": {
    ok: 204,
    who: "admin",
    ask: async () => ({ path: `/tokens/${(await newToken("viewer", "goes")).id}` }),
  },
  "GET /storage": { ok: 200, who: SUBMITTERS, ask: at("/storage") },
  "GET /storage/tasks": { ok: 200, who: SUBMITTERS, ask: at("/storage/tasks") },
  "GET /settings": { ok: 200, who: PEOPLE, ask: at("/settings") },
  "POST /settings": { ok: 204, who: "admin", ask: () => ({ path: "/settings", json: { lease_s: 60 } }) },
  "GET /settings/{name}": { ok: 200, who: PEOPLE, ask: at("/settings/lease_s") },
  "PATCH /settings/{name}": { ok: 200, who: "admin", ask: () => ({ path: "/settings/lease_s", json: { value: 60 } }) },

  "POST /tasks": {
    ok: 202,
    who: SUBMITTERS,
    ask: () => ({ path: "/tasks", json: { type: "print_string", settings: { text: "x" } } }),
  },
  "GET /tasks": { ok: 200, who: READERS, ask: at("/tasks") },
  "GET /types": { ok: 200, who: PEOPLE, ask: at("/types") },
  "GET /live": { ok: 101, who: PEOPLE, ask: () => ({ path: "/live", headers: { Upgrade: "websocket" } }) },
  "GET /tasks/{id}": { ok: 200, who: `${READERS} share`, ask: ofTask("") },
  "GET /tasks/{id}/live": {
    ok: 101,
    who: VIEWERS,
    ask: (scene) => ({ path: `/tasks/${scene.task}/live`, headers: { Upgrade: "websocket" } }),
  },
  "GET /tasks/{id}/plan": { ok: 200, who: PEOPLE, ask: ofTask("/plan") },
  "GET /tasks/{id}/timings": { ok: 200, who: VIEWERS, ask: ofTask("/timings") },
  "GET /tasks/{id}/frames/{frame}/preview": { ok: 404, who: VIEWERS, ask: ofTask("/frames/1/preview") },
  "POST /tasks/{id}/share": {
    ok: 201,
    who: "owner admin",
    ask: (scene) => ({ path: `/tasks/${scene.task}/share`, json: {} }),
  },
  "DELETE /tasks/{id}/share": { ok: 204, who: "owner admin", ask: ofTask("/share") },
  "PATCH /tasks/{id}": {
    ok: 204,
    who: "owner admin",
    ask: (scene) => ({ path: `/tasks/${scene.task}`, json: { priority: 51 } }),
  },
  "DELETE /tasks/{id}": { ok: 202, who: "owner admin", ask: ofTask("") },
  // A join token and a link of a share never say that files were downloaded: a deletion may follow from it.
  "POST /tasks/{id}/downloaded": {
    ok: 204,
    who: "owner admin",
    ask: (scene) => ({ path: `/tasks/${scene.task}/downloaded`, json: { files_version: "1.1" } }),
  },
  "GET /tasks/{id}/frames": { ok: 200, who: `${READERS} share`, ask: ofTask("/frames") },
  "GET /tasks/{id}/files": { ok: 200, who: "viewer owner artist worker admin share", ask: granted("/files") },
  "GET /tasks/{id}/frames/{frame}/file": {
    ok: 200,
    who: "viewer owner artist worker admin share",
    ask: granted("/frames/1/file"),
  },
  "GET /tasks/{id}/zip": { ok: 200, who: PEOPLE, ask: ofTask("/zip") },
  "GET /tasks/{id}/log": { ok: 200, who: READERS, ask: ofTask("/log") },
  "POST /tasks/{id}/log": {
    ok: 204,
    who: "worker",
    exceptions: { other: "lease_lost" },
    ask: ({ task, lease }) => ({ path: `/tasks/${task}/log`, json: { attempt: lease.attempt, text: "a line" } }),
  },

  "POST /tasks/{id}/leases": {
    ok: 200,
    who: "worker other",
    ask: ({ task }) => ({ path: `/tasks/${task}/leases`, json: { key: fresh("claim-key"), platform: "linux" } }),
  },
  "POST /tasks/{id}/leases/{lease_id}/renew": {
    ok: 200,
    who: "worker",
    exceptions: { other: "lease_lost" },
    ask: settle("renew", () => ({})),
  },
  "POST /tasks/{id}/leases/{lease_id}/complete": {
    ok: 200,
    who: "worker",
    exceptions: { other: "lease_lost" },
    ask: settle("complete", ({ receipt }) => ({ done: [{ frame: 2, seconds: 1, receipts: [receipt] }] })),
  },
  "POST /tasks/{id}/leases/{lease_id}/fail": {
    ok: 200,
    who: "worker",
    exceptions: { other: "lease_lost" },
    ask: settle("fail", () => ({ frames: "2", error: "it broke" })),
  },
  "POST /tasks/{id}/leases/{lease_id}/release": {
    ok: 200,
    who: "worker",
    exceptions: { other: "lease_lost" },
    ask: settle("release", () => ({})),
  },
  "PUT /tasks/{id}/outputs/{name}": {
    ok: 201,
    who: "worker",
    ask: async (scene) => await partOf(`/tasks/${scene.task}/outputs/other.png`, scene),
  },
  "GET /tasks/{id}/outputs/{name}/parts": { ok: 200, who: "worker", ask: granted("/outputs/big.png/parts") },
  "PUT /tasks/{id}/outputs/{name}/parts/{n}": {
    ok: 204,
    who: "worker",
    ask: async (scene) => await partOf(`/tasks/${scene.task}/outputs/big.png/parts/1`, scene),
  },
  "POST /tasks/{id}/outputs/{name}/assemble": {
    ok: 201,
    who: "worker",
    ask: async (scene, farm) => {
      const token = farm.tokens.worker;
      await send("PUT", `/tasks/${scene.task}/outputs/big.png/parts/1`, {
        token,
        ...(await uploadOf(scene.lease, "part")),
      });
      const json = { size: 4, sha256: await sha256(text("part")) };
      return {
        path: `/tasks/${scene.task}/outputs/big.png/assemble`,
        json,
        headers: { "Tablao-Grant-Token": scene.lease.grant },
      };
    },
  },

  "POST /assets/missing": {
    ok: 200,
    who: SUBMITTERS,
    ask: () => ({ path: "/assets/missing", json: { sha256: [HASH] } }),
  },
  "POST /assets": {
    ok: 200,
    who: SUBMITTERS,
    ask: async () => {
      const { body, headers } = await uploadOf({ grant: "" }, fresh("batch"));
      const length = headers!["Content-Length"]!;
      const list = `${headers!["Tablao-SHA256"]}:${length}`;
      return { path: "/assets", body, headers: { "Content-Length": length, "Tablao-Assets": list } };
    },
  },
  "PUT /assets/{sha256}": { ok: 201, who: SUBMITTERS, ask: newAsset },
  "GET /assets/{sha256}": {
    ok: 200,
    who: "owner artist worker admin",
    // A worker reads an input with the grant of a lease whose task names it.
    ask: async (_scene, { tokens }) => {
      const { path, ...sent } = await newAsset();
      await send("PUT", path, sent);
      const input = {
        path: "scene",
        sha256: path.slice("/assets/".length),
        size: Number(sent.headers!["Content-Length"]),
      };
      const settings = { program: "true", args: [], frames: "1-3", assets: [input] };
      const lease = await claim(tokens.worker!, await newTask(tokens.owner!, { type: "exec", settings }));
      return { path, headers: { "Tablao-Grant-Token": lease.grant } };
    },
  },
  "PUT /assets/{sha256}/pieces": { ok: 201, who: SUBMITTERS, ask: newPieceList },
  "GET /assets/{sha256}/parts": { ok: 200, who: SUBMITTERS, ask: at(`/assets/${HASH}/parts`) },
  "PUT /assets/{sha256}/parts/{n}": {
    ok: 204,
    who: SUBMITTERS,
    ask: async (scene) => await partOf(`/assets/${HASH}/parts/1`, scene),
  },
  "POST /assets/{sha256}/assemble": {
    ok: 201,
    who: SUBMITTERS,
    ask: async () => await assetInParts(fresh("in parts")),
  },

  "GET /workers": { ok: 200, who: READERS, ask: at("/workers") },
  "POST /workers": {
    ok: 201,
    who: "join admin",
    exceptions: { worker: 200, other: 200 },
    ask: () => ({ path: "/workers", json: { hostname: "box", system: "Linux" } }),
  },
  "GET /workers/{id}": { ok: 200, who: READERS, ask: (_scene, { ids }) => ({ path: `/workers/${ids.worker}` }) },
  "PATCH /workers/{id}": {
    ok: 200,
    who: "worker admin",
    ask: (_scene, { ids }) => ({ path: `/workers/${ids.worker}`, json: { activity: "x" } }),
  },
  "PUT /workers/{id}/program": {
    ok: 200,
    who: "worker",
    ask: (_scene, { ids }) => ({ path: `/workers/${ids.worker}/program`, json: { sha256: HASH } }),
  },
  "DELETE /workers/{id}": {
    ok: 204,
    who: "admin",
    ask: async () => ({ path: `/workers/${(await newWorker("goes")).id}` }),
  },
  "GET /workers/{id}/socket": {
    ok: 101,
    who: "worker",
    ask: (_scene, { ids }) => ({ path: `/workers/${ids.worker}/socket`, headers: { Upgrade: "websocket" } }),
  },

  "GET /blender-builds": { ok: 200, who: READERS, ask: at("/blender-builds") },
  "PUT /blender-builds/{version}/{platform}": { ok: 200, who: "admin", ask: async () => await keptBuild() },
  "DELETE /blender-builds/{version}/{platform}": {
    ok: 204,
    who: "admin",
    ask: async () => {
      const { path, json } = await keptBuild();
      expect((await send("PUT", path, { json })).status).toBe(200);
      return { path };
    },
  },
  "PUT /blender-files/{sha256}": {
    ok: 201,
    who: "admin",
    ask: async () => {
      const body = text(fresh("archive"));
      const headers = { "Content-Length": String(body.length) };
      return { path: `/blender-files/${await sha256(body)}`, body, headers };
    },
  },
  "GET /blender-files/{sha256}": {
    ok: 200,
    who: "worker other admin",
    ask: async () => ({ path: `/blender-files/${(await keptBuild()).json.sha256}` }),
  },
  "GET /blender-files/{sha256}/parts": { ok: 200, who: "admin", ask: at(`/blender-files/${"a".repeat(64)}/parts`) },
  "PUT /blender-files/{sha256}/parts/{n}": {
    ok: 204,
    who: "admin",
    ask: async () => {
      const body = text(fresh("part"));
      const headers = { "Content-Length": String(body.length), "Tablao-SHA256": await sha256(body) };
      return { path: `/blender-files/${await sha256(body)}/parts/1`, body, headers };
    },
  },
  "POST /blender-files/{sha256}/assemble": {
    ok: 201,
    who: "admin",
    ask: async () => {
      const body = text(fresh("archive in parts"));
      const hash = await sha256(body);
      const headers = { "Content-Length": String(body.length), "Tablao-SHA256": hash };
      expect((await send("PUT", `/blender-files/${hash}/parts/1`, { body, headers })).status).toBe(204);
      return { path: `/blender-files/${hash}/assemble`, json: { size: body.length, sha256: hash } };
    },
  },

  "GET /backup/rows": { ok: 200, who: "admin", ask: at("/backup/rows?of=registry") },
  "GET /backup/outputs/{id}/{attempt}/{name}": {
    ok: 200,
    who: "admin",
    ask: ({ task }) => ({ path: `/backup/outputs/${task}/1/frame_0001.png` }),
  },
  // The manager of this test is in use, so a restore is a conflict.
  "GET /storage/unused-inputs": { ok: 200, who: "admin", ask: at("/storage/unused-inputs") },
  "POST /storage/unused-inputs": {
    ok: 200,
    who: "admin",
    ask: () => ({ path: "/storage/unused-inputs", json: { dry_run: true } }),
  },
  "POST /restore": { ok: 409, who: "admin", ask: () => ({ path: "/restore", json: { backup: BACKUP, format: 1 } }) },
  "DELETE /restore": { ok: 409, who: "admin", ask: at("/restore") },
  "POST /restore/rows": { ok: 409, who: "admin", ask: restoring("/restore/rows?of=registry&last=true") },
  "PUT /restore/outputs/{id}/{attempt}/{name}": { ok: 409, who: "admin", ask: restoring("/restore/outputs/1/1/x.png") },
  "GET /restore/outputs/{id}/{attempt}/{name}/parts": {
    ok: 409,
    who: "admin",
    ask: () => ({ path: "/restore/outputs/1/1/x.png/parts", headers: { "Tablao-Backup": BACKUP } }),
  },
  "PUT /restore/outputs/{id}/{attempt}/{name}/parts/{n}": {
    ok: 409,
    who: "admin",
    ask: restoring("/restore/outputs/1/1/x.png/parts/1"),
  },
  "POST /restore/outputs/{id}/{attempt}/{name}/assemble": {
    ok: 409,
    who: "admin",
    ask: () => ({
      path: "/restore/outputs/1/1/x.png/assemble",
      json: { size: 1, sha256: HASH },
      headers: { "Tablao-Backup": BACKUP },
    }),
  },

  "GET /tasks/{id}/why": { ok: 200, who: PEOPLE, ask: ofTask("/why") },
  "GET /workers/{id}/why": { ok: 200, who: PEOPLE, ask: (_scene, { ids }) => ({ path: `/workers/${ids.worker}/why` }) },
  "GET /metrics": { ok: 200, who: PEOPLE, ask: at("/metrics") },
  "GET /webhooks": { ok: 200, who: "admin", ask: at("/webhooks") },
  "POST /webhooks": {
    ok: 201,
    who: "admin",
    ask: () => ({ path: "/webhooks", json: { url: "https://hooks.example/matrix", events: ["task.failed"] } }),
  },
  "DELETE /webhooks/{id}": { ok: 204, who: "admin", ask: async () => ({ path: `/webhooks/${await newHook()}` }) },
  "GET /webhooks/{id}/deliveries": {
    ok: 200,
    who: "admin",
    ask: async () => ({ path: `/webhooks/${await newHook()}/deliveries` }),
  },

  "GET /history": { ok: 200, who: PEOPLE, ask: at("/history") },
  "GET /history/days": { ok: 200, who: PEOPLE, ask: at("/history/days") },
  "GET /history/workers": { ok: 200, who: PEOPLE, ask: at("/history/workers") },
};

/** What this caller is answered: a status, or the code of a problem. */
function expected(row: Row, caller: Caller): number | ProblemCode {
  const other = row.exceptions?.[caller];
  if (other !== undefined) return other;
  if (row.who.split(" ").includes(caller)) return row.ok;
  return ["none", "expired", "revoked"].includes(caller) ? "unauthorized" : "forbidden";
}

const STATUS: Partial<Record<ProblemCode, number>> = { unauthorized: 401, forbidden: 403, lease_lost: 409 };

let farm: Farm;
beforeAll(async () => {
  farm = await newFarm();
});

let boughtMs = Date.now();
/** On a slow machine, all tests together take longer than an access token is valid. */
beforeEach(async () => {
  if (Date.now() - boughtMs < ACCESS_TOKEN_MS / 4) return;
  boughtMs = Date.now();
  farm.access = await buyAccess(farm.tokens);
});

async function newScene(): Promise<Scene> {
  const task = await newRender(farm.tokens.owner!);
  const token = farm.tokens.worker!;
  await finish(token, await claim(token, task));
  const lease = await claim(token, task);
  const receipt = await upload(token, lease, lease.plan.outputs[0]!.name, "frame two");
  return { task, lease, receipt, link: await linkTo(task) };
}

/** How a caller authenticates: not at all, with a bearer token, or with the page's cookie. */
interface Credential {
  kind: "secret" | "access" | "cookie";
  token: string | null;
  cookie?: string;
}

const PAGE_CALLERS: readonly Caller[] = ["viewer", "owner", "artist", "admin", "share", "stray"];
const cookies = new Map<string, string>();

/** Every credential that this caller has. */
async function waysOf(caller: Caller, scene: Scene): Promise<Credential[]> {
  const token = caller === "share" ? scene.link : farm.tokens[caller];
  const ways: Credential[] = [{ kind: "secret", token }];
  const access = farm.access[caller];
  if (access !== undefined) ways.push({ kind: "access", token: access });
  if (token !== null && PAGE_CALLERS.includes(caller)) {
    const cookie = cookies.get(token) ?? (await cookieFor(token));
    cookies.set(token, cookie);
    ways.push({ kind: "cookie", token: null, cookie });
  }
  return ways;
}

async function knock(method: string, { path, ...sent }: Sent & { path: string }, by: Credential, origin = HOST) {
  const headers: Record<string, string> = { ...sent.headers, "CF-Connecting-IP": freshAddress() };
  if (by.cookie !== undefined) Object.assign(headers, { Cookie: by.cookie, Origin: origin });
  return await send(method, path, { ...sent, headers, token: by.token });
}

describe("P9: the matrix of routes and callers", () => {
  it("has a row for every route, and a route for every row", () => {
    expect(ROUTES.map((route) => `${route.method} ${route.path}`).toSorted()).toEqual(Object.keys(TABLE).toSorted());
  });

  it.each(Object.entries(TABLE))("%s", async (key, row) => {
    const method = key.split(" ")[0]!;
    const turned = CALLERS.filter((caller) => typeof expected(row, caller) === "string");
    // All refused callers use one scene, which must be unchanged afterwards.
    const scene = await newScene();
    const request = await row.ask(scene, farm);
    const before = await stateOf();
    for (const caller of turned) {
      const code = expected(row, caller) as ProblemCode;
      for (const way of await waysOf(caller, scene))
        await problem(await knock(method, request, way), STATUS[code]!, code);
    }
    expect(await stateOf()).toBe(before);

    // Allowed callers may change their scene, so each gets its own.
    for (const caller of CALLERS.filter((other) => !turned.includes(other))) {
      const kinds = (await waysOf(caller, scene)).map(({ kind }) => kind);
      for (const kind of kinds) {
        const own = method === "GET" ? scene : await newScene();
        const way = (await waysOf(caller, own)).find((each) => each.kind === kind)!;
        const response = await knock(method, await row.ask(own, farm), way);
        response.webSocket?.accept();
        response.webSocket?.close();
        const said = new TextDecoder().decode(await response.arrayBuffer());
        // The one route that takes the secret itself.
        const buys = key === "POST /auth/access" && kind !== "secret";
        expect({ caller, kind, status: response.status, said }).toEqual({
          caller,
          kind,
          status: buys ? 403 : expected(row, caller),
          said,
        });
      }
    }
  });

  it.each(Object.entries(TABLE).filter(([key]) => !key.startsWith("GET ") || key.endsWith("/live")))(
    "P9: %s by the page's cookie is refused to pages of other sites",
    async (key, row) => {
      const scene = await newScene();
      const request = await row.ask(scene, farm);
      const before = await stateOf();
      for (const caller of ["admin", "owner"] as const) {
        const cookie = (await waysOf(caller, scene)).find(({ kind }) => kind === "cookie")!;
        for (const origin of ["https://evil.example", "null", `${HOST}.evil.example`])
          await problem(await knock(key.split(" ")[0]!, request, cookie, origin), 403, "forbidden");
      }
      expect(await stateOf()).toBe(before);
    },
  );

  it("P9: what only a lease's worker may send is refused to it, too, once another worker holds the lease", async () => {
    const scene = await newScene();
    const worker: Credential = { kind: "secret", token: farm.tokens.worker };
    const released = settle("release", () => ({}))(scene);
    expect((await knock("POST", released, worker)).status).toBe(200);
    const next = await claim(farm.tokens.other!, scene.task);
    expect(next.frames).toBe(scene.lease.frames);
    for (const verb of ["renew", "complete", "fail", "release", "log"]) {
      const key = verb === "log" ? "POST /tasks/{id}/log" : `POST /tasks/{id}/leases/{lease_id}/${verb}`;
      await problem(await knock("POST", await TABLE[key]!.ask(scene, farm), worker), 409, "lease_lost");
    }
  });
});
