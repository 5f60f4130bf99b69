/**
 * Something between a farm and its manager answers in the manager's place: pages with 401, 403,
 * 404, 429 and 503, before the manager gets a call, or instead of its answer. No agent ends, no
 * frame is rendered twice, none is lost; and a command of a person says what stands between.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assetSchema } from "../../src/protocol/file.ts";
import { taskSchema } from "../../src/protocol/task.ts";
import { startEdgeProxy, type EdgeCall, type EdgeProxy, type Interference } from "../support/edge-proxy.ts";
import { endFarm, startAgent, startManager, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { temporaryFolder, testFolder } from "../support/folders.ts";
import type { ForeignName } from "../support/foreign-answers.ts";
import { eventsThrough, filesOf, framesIn, range } from "../support/history.ts";
import { until } from "../support/wait.ts";

const PAGES = [
  "401 page",
  "403 page of a firewall",
  "404 page of a route that is switched off",
  "429 text of Cloudflare",
  "503 page",
] as const satisfies readonly ForeignName[];

/** Renders its frames in 2 s each, and notes each of them in a file of the test. */
const SCRIPT = `
import { appendFileSync, writeFileSync } from "node:fs";
const [frames, record] = process.argv.slice(2);
const [from, to = from] = frames.split("-").map(Number);
for (let frame = from; frame <= to; frame++) {
  console.log("tablao: frame " + frame);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  appendFileSync(record, frame + "\\n");
  const name = "f_" + String(frame).padStart(2, "0") + ".txt";
  writeFileSync(name, "frame " + frame);
  console.log("tablao: saved " + frame + " " + process.cwd() + "/" + name);
}
`;
const FRAMES = 6;
/** A renewal is due after 5 s, and a lease of 3 frames takes longer. */
const LEASE_S = 15;

let manager: Manager;
const folder = temporaryFolder("foreign-answers");
const proxies: EdgeProxy[] = [];

async function edge(choose: (call: EdgeCall) => Interference | undefined): Promise<EdgeProxy> {
  const proxy = await startEdgeProxy(manager.url, choose);
  proxies.push(proxy);
  return proxy;
}

beforeAll(async () => {
  manager = await startManager();
});
afterAll(async () => {
  await endFarm();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  folder.remove();
});

/** The kinds of calls of an agent that takes work, by what their paths look like. */
const KINDS: Record<string, RegExp> = {
  register: /^POST \/workers$/,
  "trade of the secret": /^POST \/auth\/access$/,
  "question for work": /^PATCH \/workers\/\d+$/,
  socket: /^GET \/workers\/\d+\/socket$/,
  claim: /^POST \/tasks\/\d+\/leases$/,
  renewal: /^POST \/tasks\/\d+\/leases\/[^/]+\/renew$/,
  input: /^GET \/assets\/[0-9a-f]{64}$/,
  upload: /^PUT \/tasks\/\d+\/outputs\/f_\d+\.txt$/,
  settlement: /^POST \/tasks\/\d+\/leases\/[^/]+\/complete$/,
};

/**
 * Answers the first call to each address with the page, and the second, too, after the manager has
 * done it. A registration is not repeated after it was done: its join token is used up.
 */
function interferer(answer: ForeignName): (call: EdgeCall) => Interference | undefined {
  const seen = new Map<string, number>();
  return ({ method, path: address }) => {
    const call = `${method} ${address}`;
    const nth = (seen.get(call) ?? 0) + 1;
    seen.set(call, nth);
    if (nth > 2) return undefined;
    return { answer, after: nth === 2 && !KINDS["register"]!.test(call) };
  };
}

/** Queue the script as a task that only workers with this tag take. */
async function queue(tag: string, record: string): Promise<number> {
  const bytes = Buffer.from(SCRIPT);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await manager.client.call(assetSchema, "PUT", `/assets/${sha256}`, {
    body: () => new Blob([bytes]),
    headers: { "content-length": String(bytes.length), "content-type": "application/octet-stream" },
  });
  const json = {
    type: "exec",
    settings: {
      program: process.execPath,
      args: ["{in:render.mjs}", "{frames}", record],
      assets: [{ path: "render.mjs", sha256, size: bytes.length }],
      frames: `1-${FRAMES}`,
      outputs: "f_##.txt",
    },
    chunk: 3,
    lease_s: LEASE_S,
    tags: [tag],
  };
  return (await manager.client.call(taskSchema, "POST", "/tasks", { json })).id;
}

test.concurrent.each(PAGES)(
  "P2, P3, P13: an agent behind a %s at each of its calls ends nothing and renders each frame once",
  async (name) => {
    const tag = `behind-${name.slice(0, 3)}`;
    const record = path.join(folder.path, tag);
    const proxy = await edge(interferer(name));
    // The manager itself is asked whether the agent is online.
    const farm = { url: proxy.url, client: manager.client };
    const agent = await startAgent(farm, { name: tag, args: ["--allow-exec", "--tags", tag] });
    const id = await queue(tag, record);
    await untilStatus(manager, id, ["completed", "failed", "canceled"]);

    expect(readFileSync(record, "utf8").trim().split("\n").map(Number)).toEqual(range(1, FRAMES));
    const events = await eventsThrough(manager, id, "completed");
    expect(framesIn(events, "done").map(({ frame }) => frame)).toEqual(range(1, FRAMES));
    expect(events.filter(({ kind }) => kind === "lost" || kind === "error")).toEqual([]);
    expect((await filesOf(manager, id)).map(({ frame }) => frame)).toEqual(range(1, FRAMES));
    expect(agent.child.running()).toBe(true);

    const calls = proxy.met.map(({ method, path: address }) => `${method} ${address}`);
    const unmet = Object.entries(KINDS).filter(([, pattern]) => !calls.some((call) => pattern.test(call)));
    expect(unmet.map(([kind]) => kind)).toEqual([]);

    // One line for each outage, however many calls and tries it has.
    await until(() => agent.said().includes("connected"), { what: "its socket is open" });
    const lines = agent.said().split("\n");
    const begun = lines.filter((line) => /^\S+ something between .*; trying again$/.test(line));
    const over = lines.filter((line) => line.includes("the manager answers again"));
    expect(begun.length).toBeGreaterThan(0);
    expect(begun.length).toBeLessThanOrEqual(over.length + 1);
    expect(begun.length).toBeLessThan(proxy.met.length);
  },
);

test("a command that meets such pages goes on when they pass, and otherwise names them; nothing is called missing", async () => {
  const id = await queue("nobody", path.join(folder.path, "nobody"));
  const seen = new Set<string>();
  const passing = await edge(({ method, path: address }) => {
    const first = !seen.has(`${method} ${address}`);
    seen.add(`${method} ${address}`);
    return first ? { answer: "404 page of a route that is switched off" } : undefined;
  });
  const shown = await tablao({ manager: { url: passing.url, token: manager.token } }, "task", String(id), "--json");
  expect(shown).toMatchObject({ code: 0, stderr: "" });
  expect(shown.json()).toMatchObject({ id });
  expect(passing.met).toHaveLength(2);

  const staying = [...PAGES.slice(0, 3), "302 to a sign-in page", "200 page of a hotel"] as const;
  for (const answer of staying) {
    const { url } = await edge((call) => (call.path === "/auth/access" ? undefined : { answer }));
    const out = testFolder("out");
    const commands = [
      ["task", String(id)],
      ["download", String(id), path.join(out, "frames")],
      ["delete", String(id)],
    ];
    const through = { manager: { url, token: manager.token } };
    for (const result of await Promise.all(commands.map((command) => tablao(through, ...command)))) {
      expect(result).toMatchObject({ code: 5, stdout: "" });
      const begin = `tablao: something between this machine and ${url} answered ${answer.slice(0, 3)} with `;
      expect(result.stderr.slice(0, begin.length)).toBe(begin);
      expect(result.stderr).toContain("With your own domain");
      expect(result.stderr.trim().split("\n")).toHaveLength(1);
      expect(result.stderr).not.toContain(manager.token);
    }
    expect(readdirSync(out)).toEqual([]);
  }
  // No command took a page for the manager's word: the task is still there.
  expect((await tablao(manager, "task", String(id))).code).toBe(0);
});
