/**
 * Answers that are not the manager's, to every kind of call that an agent makes: no worker ends, no
 * lease is lost, no frame is rendered again.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  FakeManager,
  foreign,
  problem,
  sha256,
  takeUploads,
  type Answer,
  type Call,
} from "../../test/support/fake-manager.ts";
import { temporaryFolder } from "../../test/support/folders.ts";
import { FOREIGN_NAMES, type ForeignName } from "../../test/support/foreign-answers.ts";
import { lease } from "../../test/support/scripted-lease.ts";
import { until } from "../../test/support/wait.ts";
import { ManagerClient } from "../client/manager-client.ts";
import { CannotStart } from "./identity.ts";
import { InputCache } from "./input-cache.ts";
import type { LooseLease } from "./lease-calls.ts";
import { LeaseRunner, type RunnerDependencies } from "./lease-runner.ts";
import { OutageLog } from "./outage-log.ts";
import { WorkerCalls } from "./worker-calls.ts";

const settled: Answer = { status: 200, json: { committed: 0, next: null } };
const renewed = (leaseMs = 60_000): Answer => ({
  status: 200,
  json: { lease_ms: leaseMs, until_ms: Date.now() + leaseMs, grant: "g" },
});
const claim = { key: "key-of-a-claim", platform: "linux", epoch: 0 } as const;

class Scene {
  readonly manager: FakeManager;
  readonly client: ManagerClient;
  readonly folder: string;
  readonly said: string[] = [];
  readonly calls: WorkerCalls;

  constructor(manager: FakeManager, folder: string) {
    this.manager = manager;
    this.folder = folder;
    const outage = new OutageLog((text) => this.said.push(text));
    this.client = new ManagerClient({ url: manager.url, secret: "s", retryForMs: Infinity, outage });
    this.calls = new WorkerCalls(
      this.client,
      5,
      async () => ({}),
      (text) => this.said.push(text),
    );
  }

  /** Calls of a kind: the end of their path. */
  to(kind: string): Call[] {
    return this.manager.calls.filter(({ path }) => path.endsWith(kind));
  }

  /** The first two answers to this kind of call are not the manager's. */
  interfere(kind: string, name: ForeignName): void {
    this.manager.handlers.unshift(({ path }) =>
      path.endsWith(kind) && this.to(kind).length <= 2 ? foreign(name) : undefined,
    );
  }

  async runner(of: LooseLease, more: Partial<RunnerDependencies> = {}): Promise<LeaseRunner> {
    const deps = {
      client: this.client,
      allowed: { exec: true, autoexec: false, programs: {} },
      cache: await InputCache.open(join(this.folder, "cache"), 1e9, this.client),
      work: join(this.folder, "work"),
      log: (text: string) => this.said.push(text),
      ...more,
    };
    return new LeaseRunner(deps, of, performance.now());
  }
}

/** Each test has a manager of its own: most of its time is waits between tries, so they overlap. */
function inScene(run: (scene: Scene) => Promise<void>): () => Promise<void> {
  return async () => {
    const manager = await FakeManager.start();
    const folder = temporaryFolder("agent-foreign");
    takeUploads(manager);
    try {
      await run(new Scene(manager, folder.path));
    } finally {
      await manager.stop();
      folder.remove();
    }
  };
}

/** Writes frame 1, waits for the file, writes frame 2; counts its runs in `runs`. */
function twoFrames(folder: string): { of: LooseLease; goOn: () => void; runs: () => number } {
  const [go, runs] = [join(folder, "go"), join(folder, "runs")];
  const script = `
    fs.appendFileSync(${JSON.stringify(runs)}, "x");
    write(1);
    while (!fs.existsSync(${JSON.stringify(go)})) await sleep(20);
    write(2);`;
  return {
    of: lease(script),
    goOn: () => writeFileSync(go, ""),
    runs: () => (existsSync(runs) ? readFileSync(runs, "utf8").length : 0),
  };
}

describe("twice the same foreign answer, then the manager's", () => {
  for (const name of FOREIGN_NAMES) {
    test.concurrent(
      `${name}, to the question for work and to a claim: both are asked again`,
      inScene(async (scene) => {
        const { manager, calls } = scene;
        manager
          .on("PATCH", /^\/workers\/5$/, () => ({ status: 200, json: { task_id: 7, epoch: 0, status: "enabled" } }))
          .on("POST", /^\/tasks\/7\/leases$/, () => ({
            status: 200,
            json: { lease: null, reason: "waiting", retry_after_ms: 9 },
          }));
        scene.interfere("/workers/5", name);
        scene.interfere("/leases", name);
        const { signal } = new AbortController();
        expect(await calls.ask(undefined, signal)).toMatchObject({ task_id: 7 });
        expect((await calls.claim(7, claim, signal))?.claimed.reason).toBe("waiting");
        // The key is the same: had one of the answers hidden a lease, it would be the same lease.
        expect(scene.to("/leases").map(({ json }) => json)).toEqual([claim, claim, claim]);
      }),
    );

    test.concurrent(
      `${name}, to uploads, renewals and the settlement: each frame is rendered and committed once`,
      inScene(async (scene) => {
        const { manager, said } = scene;
        const { of, goOn, runs } = twoFrames(scene.folder);
        manager.on("POST", /\/renew$/, () => renewed()).on("POST", /\/complete$/, () => settled);
        for (const kind of ["/f_1", "/f_2", "/renew", "/complete"]) scene.interfere(kind, name);
        const runner = await scene.runner(of);
        const running = runner.run(() => null);
        runner.renewNow();
        await until(() => scene.to("/f_1").length === 3 && scene.to("/renew").length >= 3, {
          what: "frame 1 is uploaded and the lease renewed",
          everyMs: 10,
        });
        goOn();
        expect(await running).toEqual({ kind: "settled", failed: false, claimed: null });
        expect(runs()).toBe(1);
        const bodies = scene.to("/complete").map(({ json }) => json!);
        expect(bodies).toHaveLength(3);
        expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
        expect(bodies[0]!["done"]).toMatchObject([
          { frame: 1, receipts: [`g:f_1:${sha256("frame 1").slice(0, 8)}`] },
          { frame: 2, receipts: [`g:f_2:${sha256("frame 2").slice(0, 8)}`] },
        ]);
        expect(manager.to(/\/(fail|release)$/)).toEqual([]);
        expect(said.join("\n")).not.toMatch(/lost|giving/);
      }),
    );
  }

  test.concurrent.each([
    ["fail", "process.exit(3);"],
    ["release", "await sleep(60000);"],
  ] as const)("to %s: it is told again", (verb, script) =>
    inScene(async (scene) => {
      scene.manager.on("POST", new RegExp(`/${verb}$`), () => settled);
      scene.interfere(`/${verb}`, "404 page of a route that is switched off");
      const runner = await scene.runner(lease(`say("begun"); ${script}`));
      const running = runner.run(() => null);
      if (verb === "release") {
        await until(() => scene.said.some((line) => line.includes("rendering")), { what: "it renders", everyMs: 10 });
        runner.stop();
      }
      expect((await running).kind).toBe(verb === "fail" ? "settled" : "released");
      expect(scene.to(`/${verb}`)).toHaveLength(3);
    })(),
  );

  test.concurrent(
    "to an input: it is fetched again, and no frame fails for it",
    inScene(async (scene) => {
      const input = { path: "scene.txt", sha256: sha256("a scene"), size: 7 };
      scene.manager
        .on("GET", /^\/assets\//, () => ({ status: 200, bytes: Buffer.from("a scene") }))
        .on("POST", /\/complete$/, () => settled);
      scene.interfere(input.sha256, "404 page of a route that is switched off");
      const runner = await scene.runner(lease("write(1); write(2);", { plan: { inputs: [input] } }));
      expect(await runner.run(() => null)).toMatchObject({ kind: "settled", failed: false });
      expect(scene.to(input.sha256)).toHaveLength(3);
    }),
  );
});

describe("what is told", () => {
  test.concurrent(
    "one line when answers stop being the manager's, whatever calls meet them, and one when it is over",
    inScene(async (scene) => {
      const { manager, said } = scene;
      const { of, goOn } = twoFrames(scene.folder);
      manager.on("POST", /\/renew$/, () => renewed()).on("POST", /\/complete$/, () => settled);
      let over = false;
      manager.handlers.unshift(() => (over ? undefined : foreign("403 page of a firewall")));
      const runner = await scene.runner(of);
      const running = runner.run(() => null);
      runner.renewNow();
      // The upload and the renewal meet the firewall at the trade of the secret.
      await until(() => scene.to("/auth/access").length >= 4, { what: "calls are tried again", everyMs: 10 });
      over = true;
      goOn();
      await running;
      const about = said.filter((line) => !line.startsWith("task "));
      expect(about).toEqual([
        expect.stringMatching(
          /^something between .* answered 403 with HTML \(a firewall or bot rule\?\); trying again$/,
        ),
        expect.stringMatching(/^the manager answers again, after \d+ s$/),
      ]);
    }),
  );

  test.concurrent(
    "P13: an upload that something stops while renewals get through is told in the task's log, and given up in the end",
    inScene(async (scene) => {
      const { manager } = scene;
      manager.on("POST", /\/renew$/, () => renewed()).on("POST", /\/release$/, () => settled);
      manager.handlers.unshift(({ path }) =>
        path.includes("/outputs/") ? foreign("403 page of a firewall") : undefined,
      );
      const uploadLimits = { tellAfterMs: 0, giveUpAfterMs: 200 };
      const runner = await scene.runner(lease("write(1); write(2); await sleep(500);"), { uploadLimits });
      expect(await runner.run(() => null)).toMatchObject({ kind: "released", declineMs: 60_000 });
      const logs = JSON.stringify([...scene.to("/renew"), ...scene.to("/release")].map(({ json }) => json!["log"]));
      expect(logs).toMatch(/\[the upload of f_1 does not get through: something between [^"]* 403 with HTML/);
      expect(logs.match(/the upload of f_1/g)).toHaveLength(1);
      expect(scene.to("/release").at(-1)!.json!["reason"]).toContain("403 with HTML");
      expect(manager.to(/\/fail$/)).toEqual([]);
    }),
  );
});

describe("the manager's own word", () => {
  test.concurrent.each([
    [401, "unauthorized"],
    [404, "not_found"],
  ])("a %i of the manager ends the worker as before", (status, code) =>
    inScene(async ({ manager, calls }) => {
      manager.on("PATCH", /^\/workers\/5$/, () => problem(status, code));
      await expect(calls.ask(undefined, new AbortController().signal)).rejects.toThrow(CannotStart);
    })(),
  );

  test.concurrent(
    "P2: foreign answers to every renewal keep a lease no longer than its time",
    inScene(async (scene) => {
      scene.manager.on("POST", /\/renew$/, () => foreign("403 page of a firewall"));
      const before = performance.now();
      const runner = await scene.runner(lease("say('tablao: frame 1'); await sleep(60000);", { lease_ms: 1_500 }));
      expect(await runner.run(() => null)).toEqual({ kind: "lost" });
      expect(performance.now() - before).toBeGreaterThan(1_500);
      expect(scene.said.join("\n")).toContain("ran out before a renewal got through");
    }),
  );
});
