/**
 * P10 over the whole API, generated from its own OpenAPI document: no 5xx, every error is a problem
 * document, a refused request changes nothing, no answer contains a secret, no answer is slow. `npm
 * run fuzz -- --requests N --seed S` runs more requests; the seed repeats a run.
 */
import { env, runInDurableObject } from "cloudflare:test";
import fc from "fast-check";
import { expect, inject, it } from "vitest";
import type { Env } from "../../src/rpc/env.ts";
import { registryStub, taskStub } from "../../src/rpc/stubs.ts";
import { problemSchema } from "../../src/protocol/problem-schema.ts";
import { claim, cookieFor, finish, freshAddress, linkTo, newFarm, newRender, type Farm } from "./api-farm.ts";
import { encoded, operationsOf, requestsTo, Schemas, type FuzzRequest } from "./fuzz-requests.ts";
import { ADMIN_TOKEN, HOST, newTask, newWorker, okJson, send } from "./http-client.ts";

const { requests: REQUESTS, seed: SEED } = inject("fuzz") ?? { requests: 1_500, seed: inject("seed") };
/**
 * Requests to one farm. After so many, too many of its tokens are revoked, tasks deleted and
 * workers removed.
 */
const ROUND = 400;
const SLOW_MS = 1_000;
const bindings = env as unknown as Env;

/** A farm with valid values for every parameter, and all callers. */
interface Stage {
  farm: Farm;
  credentials: Record<string, string>[];
  byRole: Record<string, Record<string, string>>;
  secrets: string[];
  values: Record<string, string[]>;
}

async function newStage(): Promise<Stage> {
  const farm = await newFarm();
  const task = await newRender(farm.tokens.owner!);
  await finish(farm.tokens.worker!, await claim(farm.tokens.worker!, task));
  const lease = await claim(farm.tokens.worker!, task);
  const plain = await newTask(farm.tokens.owner!);
  const spare = await newWorker("spare");
  const { tokens } = farm;
  const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });
  const page = { Cookie: await cookieFor(tokens.owner!), Origin: HOST };
  const secrets = [...Object.values(tokens).filter((token) => token !== null), spare.secret, ADMIN_TOKEN];
  return {
    farm,
    secrets,
    byRole: {
      admin: bearer(ADMIN_TOKEN),
      artist: bearer(tokens.owner!),
      viewer: bearer(tokens.viewer!),
      worker: { ...bearer(tokens.worker!), "Tablao-Grant-Token": lease.grant },
      join: bearer(tokens.join!),
      share: bearer(await linkTo(task)),
    },
    credentials: [
      bearer(ADMIN_TOKEN),
      ...Object.values(tokens).map((token) => (token === null ? {} : bearer(token))),
      ...Object.values(farm.access).map(bearer),
      { ...bearer(tokens.worker!), "Tablao-Grant-Token": lease.grant },
      page,
      { Cookie: page.Cookie },
      bearer("x"),
      { Authorization: "Basic YTpi" },
    ],
    values: {
      id: [task, plain, farm.ids.worker, farm.ids.other, spare.id, farm.ids.viewer, 999_999].map(String),
      frame: ["1", "2", "0", "-1"],
      attempt: ["1", "2"],
      n: ["1", "2", "1001"],
      sha256: ["0".repeat(64)],
      lease_id: [lease.lease_id, "none"],
      name: ["frame_0001.png", "lease_s", "render.final", "x"],
      code: ["invalid", "none"],
      path: ["tasks/7"],
    },
  };
}

/** What a refused request must not change, in a few rows: counters, switches, versions. */
async function digest(task: number | null): Promise<string> {
  const registry = await runInDurableObject(registryStub(bindings), (_, { storage: { sql } }) =>
    [
      "SELECT group_concat(name || value) FROM (SELECT * FROM counters WHERE name <> 'epoch' ORDER BY name)",
      "SELECT count(*), total(revoked), total(uses_left) FROM tokens",
      "SELECT count(*), total(enabled), total(draining), total(said_rendering), total(length(offer)), total(length(hostname)) FROM workers",
      "SELECT group_concat(name || value) FROM (SELECT * FROM settings ORDER BY name)",
      "SELECT count(*), total(priority), total(status = 'canceled') FROM tasks",
      "SELECT count(*), total(id) FROM submitted_ids",
      "SELECT count(*), total(id) FROM submit_keys",
    ].map((query) => JSON.stringify(sql.exec(query).toArray())),
  );
  if (task === null) return registry.join("\n");
  const own = await runInDurableObject(taskStub(bindings, task), (_, { storage: { sql } }) => {
    const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray();
    const has = (table: string): boolean => tables.some(({ name }) => name === table);
    if (!has("record")) return "none";
    const record = sql.exec<{ json: string }>("SELECT json FROM record").toArray()[0];
    const { ledger } = JSON.parse(record?.json ?? "{}") as { ledger?: Record<string, unknown> };
    // The journal holds versions newer than the record's.
    const journal = has("journal") ? sql.exec("SELECT max(version) AS version FROM journal").toArray() : [];
    return JSON.stringify([
      [ledger?.["version"], ledger?.["attempt"], ledger?.["event_seq"]],
      journal,
      sql.exec("SELECT count(*) AS n FROM log").toArray(),
    ]);
  });
  return `${registry.join("\n")}\n${own}`;
}

function pathOf({ operation, params, query }: FuzzRequest, values: Stage["values"]): string {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const param = params[name] ?? 0;
    if (typeof param === "number") return values[name]?.[param % values[name].length] ?? "1";
    return encodeURIComponent(param.toWellFormed());
  });
  const search = new URLSearchParams(query).toString();
  return search === "" ? path : `${path}?${search}`;
}

/**
 * Two of three requests have a caller who may call: the test is about what comes after
 * authorisation.
 */
function credentialOf({ caller, operation: { who } }: FuzzRequest, stage: Stage): Record<string, string> {
  const role = caller < 67 ? who[caller % Math.max(1, who.length)] : undefined;
  return (role === undefined ? undefined : stage.byRole[role]) ?? stage.credentials[caller % stage.credentials.length]!;
}

const statuses = new Map<number, number>();
const slow: string[] = [];
let slowest = { ms: 0, what: "" };
let unsettled = 0;

async function tryOut(request: FuzzRequest, stage: Stage): Promise<Response & { said: string; ms: number }> {
  const { operation, body } = request;
  const path = pathOf(request, stage.values);
  const headers: Record<string, string> = {
    "CF-Connecting-IP": freshAddress(),
    ...credentialOf(request, stage),
  };
  const content = body === null ? null : encoded(body);
  if (content) headers["Content-Type"] = content.type;
  if (content && operation.upload) headers["Content-Length"] = String(new TextEncoder().encode(content.body).length);
  Object.assign(headers, request.headers);
  const startMs = performance.now();
  const response = await send(operation.method, path, { token: null, headers, body: content?.body });
  response.webSocket?.accept();
  response.webSocket?.close();
  const said = new TextDecoder().decode(await response.arrayBuffer());
  const ms = performance.now() - startMs;
  const what = `${operation.method} ${path.slice(0, 100)} → ${response.status}`;
  if (ms > slowest.ms) slowest = { ms: Math.round(ms), what };
  if (ms > SLOW_MS) slow.push(`${what} in ${Math.round(ms)} ms`);
  statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
  return Object.assign(response, { said, ms });
}

function check({ status, headers, said }: Response & { said: string }, request: FuzzRequest, stage: Stage): void {
  expect(status, said).toBeLessThan(500);
  expect(said).not.toMatch(/\n\s+at .*:\d+:\d+/);
  for (const secret of stage.secrets) expect(said.includes(secret), "a secret is in the answer").toBe(false);
  if (status < 400) return;
  if (request.operation.method === "HEAD") return;
  expect(headers.get("Content-Type")).toBe("application/problem+json");
  expect(problemSchema.parse(JSON.parse(said)).status).toBe(status);
}

it(
  `P10: ${REQUESTS} requests made from the OpenAPI document, seed ${SEED}`,
  async () => {
    const document = await okJson(await send("GET", "/openapi.json"), 200);
    const operations = operationsOf(document);
    expect(operations.length).toBeGreaterThan(40);
    const schemas = new Schemas(document);
    const startMs = performance.now();
    for (let done = 0; done < REQUESTS; done += ROUND) {
      const stage = await newStage();
      const property = fc.asyncProperty(requestsTo(operations, schemas), async (request) => {
        const mutates = request.operation.method !== "GET";
        const of = request.operation.path.startsWith("/tasks/")
          ? pathOf(request, stage.values).split(/[/?]/)[2]
          : undefined;
        const task = /^[1-9]\d{0,8}$/.test(of ?? "") ? Number(of) : null;
        const before = mutates ? await digest(task) : "";
        const response = await tryOut(request, stage);
        check(response, request, stage);
        if (response.ms > SLOW_MS) {
          // Other load only adds to the time: the fastest of five answers counts.
          const again: number[] = [];
          while (again.length < 4) again.push((await tryOut(request, stage)).ms);
          expect(Math.min(...again), `${request.operation.method} ${request.operation.path}`).toBeLessThan(SLOW_MS);
        }
        if (!mutates || response.status < 400) return;
        let around = [before, await digest(task)];
        if (around[0] !== around[1]) unsettled++;
        // An alarm or a late report of an earlier request may have run in between. Those end; a
        // change by the request itself happens at every try.
        for (let tries = 0; tries < 5 && around[0] !== around[1]; tries++) {
          await scheduler.wait(50);
          const quiet = await digest(task);
          expect((await tryOut(request, stage)).status).toBeGreaterThanOrEqual(400);
          around = [quiet, await digest(task)];
        }
        expect(
          around[1],
          `${request.operation.method} ${request.operation.path} was refused and changed something`,
        ).toBe(around[0]);
      });
      const runs = Math.min(ROUND, REQUESTS - done);
      await fc.assert(property, { seed: SEED + done, numRuns: runs, endOnFailure: true });
    }
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    const counts = [...statuses].toSorted(([a], [b]) => a - b).map(([status, n]) => `${status}: ${n}`);
    console.log(
      `fuzz: ${REQUESTS} requests, seed ${SEED}, ${seconds} s; ${counts.join(", ")}; slowest ${slowest.ms} ms (${slowest.what}); ` +
        `over ${SLOW_MS} ms: ${slow.length}${slow.length > 0 ? ` (${slow.slice(0, 5).join("; ")})` : ""}; read again: ${unsettled}`,
    );
  },
  Math.max(120_000, REQUESTS * 60),
);
