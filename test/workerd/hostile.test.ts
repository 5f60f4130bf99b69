/**
 * Malicious requests: forged proofs, other workers' leases, names that leave their folder, bodies
 * that expand.
 */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { MAX_FAILURES } from "../../src/http/server/auth.ts";
import { MAX_BODY_BYTES, MAX_OPEN_BODY_BYTES } from "../../src/protocol/constants.ts";
import { ROUTES } from "../../src/http/routes/index.ts";
import { claim, cookieFor, finish, fresh, freshAddress, linkTo, newRender, upload, uploadOf } from "./api-farm.ts";
import { ADMIN_TOKEN, HOST, newTask, newToken, newWorker, okJson, problem, send, type Sent } from "./http-client.ts";
import { inTrivialRequests } from "./request-time.ts";
import { sha256, text } from "./files-call.ts";
import type { Lease } from "../../src/protocol/lease.ts";

/**
 * No hostile request may cost as much as this many trivial ones. One that made the manager walk a
 * list of ten million frames would cost far more.
 */
const MAX_TRIVIAL_REQUESTS = 1_000;

let worker: { id: number; secret: string };
let other: { id: number; secret: string };
let artist: { id: number; token: string };

beforeAll(async () => {
  worker = await newWorker("honest");
  other = await newWorker("hostile");
  artist = await newToken("artist");
});

async function settle(lease: Lease, verb: string, body: object, token = worker.secret): Promise<Response> {
  const json = { attempt: lease.attempt, ...body };
  return await send("POST", `/tasks/${lease.task_id}/leases/${lease.lease_id}/${verb}`, { token, json });
}

async function frameStates(task: number): Promise<unknown> {
  const { frames } = await okJson(await send("GET", `/tasks/${task}/frames`), 200);
  return frames;
}

describe("P3: forged or foreign proofs", () => {
  it("a receipt or grant with any one bit flipped, or of another kind, is refused and commits nothing", async () => {
    const task = await newRender();
    const lease = await claim(worker.secret, task);
    const [{ name, frame }] = lease.plan.outputs as [{ name: string; frame: number }];
    const receipt = await upload(worker.secret, lease, name, "pixels");
    const { access_token: access } = await okJson(await send("POST", "/auth/access", { token: worker.secret }), 200);
    const before = JSON.stringify(await frameStates(task));
    const [body = "", mac = ""] = receipt.split(".");
    const claims = JSON.parse(atob(body.replaceAll("-", "+").replaceAll("_", "/"))) as object;
    const forged = (changed: object): string =>
      btoa(JSON.stringify({ ...claims, ...changed }))
        .replaceAll("=", "")
        .replaceAll("+", "-")
        .replaceAll("/", "_");
    const bad = [
      ...[0, 7, body.length - 1, body.length + 1, receipt.length - 3].map((at) => flipped(receipt, at)),
      `${forged({ frame: 2 })}.${mac}`,
      `${forged({ sha256: "0".repeat(64) })}.${mac}`,
      `${body}.`,
      `.${mac}`,
      `${body}.${mac}.${mac}`,
      body,
      "",
      lease.grant,
      access as string,
      `${btoa('{"alg":"none"}').replaceAll("=", "")}.${body}.`,
    ];
    for (const wrong of bad) {
      const refused = await problem(
        await settle(lease, "complete", { done: [{ frame, seconds: 1, receipts: [wrong] }] }),
        422,
        "invalid",
      );
      expect(refused.errors?.[0]?.field, wrong).toBe("done.0.receipts.0");
    }
    expect(JSON.stringify(await frameStates(task))).toBe(before);
    const path = `/tasks/${task}/outputs/${name}`;
    const sent = await uploadOf(lease, "pixels");
    for (const grant of [
      flipped(lease.grant, 3),
      flipped(lease.grant, lease.grant.length - 2),
      receipt,
      access as string,
      "x",
    ]) {
      const headers = { ...sent.headers, "Tablao-Grant-Token": grant };
      await problem(await send("PUT", path, { ...sent, headers, token: worker.secret }), 403, "forbidden");
    }
    expect((await settle(lease, "complete", { done: [{ frame, seconds: 1, receipts: [receipt] }] })).status).toBe(200);
  });

  it("P9: each signed text opens its own door only, and with any one bit changed none", async () => {
    const task = await newRender();
    const lease = await claim(worker.secret, task);
    const { name, frame } = lease.plan.outputs[0]!;
    const texts = {
      access: (await okJson(await send("POST", "/auth/access"), 200))["access_token"] as string,
      session: (await cookieFor(ADMIN_TOKEN)).split("=")[1]!,
      share: await linkTo(task),
      grant: lease.grant,
      receipt: await upload(worker.secret, lease, name, "pixels"),
    };
    const sent = await uploadOf(lease, "pixels");
    const from = (): Record<string, string> => ({ "CF-Connecting-IP": freshAddress() });
    const doors: Record<string, { opens: (keyof typeof texts)[]; knock: (text: string) => Promise<Response> }> = {
      "a bearer token": {
        opens: ["access", "share"],
        knock: async (token) => await send("GET", `/tasks/${task}`, { token, headers: from() }),
      },
      "the page's cookie": {
        opens: ["session"],
        knock: async (text) =>
          await send("GET", `/tasks/${task}`, { token: null, headers: { ...from(), Cookie: `__Host-tablao=${text}` } }),
      },
      "the form of sign-in": {
        opens: ["share"],
        knock: async (token) => await send("POST", "/auth/session", { token: null, json: { token }, headers: from() }),
      },
      "a worker's upload": {
        opens: ["grant"],
        knock: async (grant) => {
          const headers = { ...sent.headers, "Tablao-Grant-Token": grant };
          return await send("PUT", `/tasks/${task}/outputs/${name}`, { ...sent, headers, token: worker.secret });
        },
      },
      "a frame that is done": {
        opens: ["receipt"],
        knock: async (receipt) =>
          await settle(lease, "complete", { done: [{ frame, seconds: 1, receipts: [receipt] }] }),
      },
    };
    for (const [door, { opens, knock }] of Object.entries(doors)) {
      for (const [kind, text] of Object.entries(texts)) {
        const own = opens.some((each) => each === kind);
        const dot = text.indexOf(".");
        const changed = [1, dot - 1, dot + 1, text.length - 2].map((at) => flipped(text, at));
        for (const bad of own ? changed : [text, ...changed])
          expect([401, 403, 422], `${kind} as ${door}`).toContain((await knock(bad)).status);
      }
    }
    for (const [door, { opens, knock }] of Object.entries(doors))
      for (const kind of opens) expect((await knock(texts[kind])).ok, `${kind} as ${door}`).toBe(true);
  });

  it("a receipt counts for its own frame, task and attempt only, also when it is sent again later", async () => {
    const [task, twin] = [await newRender(), await newRender()];
    const lease = await claim(worker.secret, task);
    const elsewhere = await claim(worker.secret, twin);
    const { name, frame } = lease.plan.outputs[0]!;
    const receipt = await upload(worker.secret, lease, name, "first");
    const done = [{ frame, seconds: 1, receipts: [receipt] }];
    await problem(await settle(elsewhere, "complete", { done }), 422, "invalid");
    await problem(
      await settle(lease, "complete", { done: [{ frame: 2, seconds: 1, receipts: [receipt] }] }),
      422,
      "invalid",
    );
    await problem(
      await settle(lease, "complete", { done: [{ frame, seconds: 1, receipts: [receipt, receipt] }] }),
      422,
      "invalid",
    );
    await problem(await settle(lease, "complete", { done: [...done, ...done] }), 422, "invalid");
    await problem(await settle(lease, "complete", { done: [{ frame, seconds: 1, receipts: [] }] }), 422, "invalid");
    expect((await settle(lease, "release", {})).status).toBe(200);
    const again = await claim(worker.secret, task);
    expect(again).toMatchObject({ frames: lease.frames, attempt: lease.attempt + 1 });
    await problem(await settle(again, "complete", { done }), 422, "invalid");
    await finish(worker.secret, again, "second");
    const file = await send("GET", `/tasks/${task}/frames/${frame}/file`);
    expect(await file.text()).toBe(`second ${frame}`);
  });

  it("P2: what a worker uploads for a frame it has lost never becomes the result", async () => {
    const task = await newRender(ADMIN_TOKEN, { tries: 5 });
    const lost = await claim(worker.secret, task);
    const { name, frame } = lost.plan.outputs[0]!;
    expect((await settle(lost, "release", {})).status).toBe(200);
    const mine = await claim(other.secret, task);
    expect(mine.frames).toBe(lost.frames);
    // The old grant still stores bytes under the old attempt, but they cannot be committed.
    const late = await upload(worker.secret, lost, name, "late");
    const done = [{ frame, seconds: 1, receipts: [late] }];
    await problem(await settle(lost, "complete", { done }), 409, "lease_lost");
    await problem(await settle({ ...lost, attempt: mine.attempt }, "complete", { done: [] }), 409, "lease_lost");
    await problem(await settle(mine, "complete", {}), 409, "lease_lost");
    await problem(await settle(mine, "complete", { done }, other.secret), 422, "invalid");
    await finish(other.secret, mine, "right");
    expect(await (await send("GET", `/tasks/${task}/frames/${frame}/file`)).text()).toBe(`right ${frame}`);
  });

  it("P9: another worker's grant, or one for another task, gives no access", async () => {
    const [task, secretTask] = [await newRender(), await newRender()];
    const lease = await claim(worker.secret, task);
    await finish(worker.secret, await claim(worker.secret, secretTask));
    const sent = await uploadOf(lease, "pixels");
    await problem(
      await send("PUT", `/tasks/${task}/outputs/f.png`, { ...sent, token: other.secret }),
      403,
      "forbidden",
    );
    await problem(await send("PUT", `/tasks/${task}/outputs/f.png`, { ...sent, token: ADMIN_TOKEN }), 403, "forbidden");
    await problem(
      await send("PUT", `/tasks/${secretTask}/outputs/f.png`, { ...sent, token: worker.secret }),
      403,
      "forbidden",
    );
    const headers = { "Tablao-Grant-Token": lease.grant };
    for (const rest of ["files", "frames/1/file"]) {
      const path = `/tasks/${secretTask}/${rest}`;
      await problem(await send("GET", path, { headers, token: worker.secret }), 403, "forbidden");
      await problem(await send("GET", path, { token: worker.secret }), 403, "forbidden");
    }
  });

  it("a worker that names frames it was not given, or too many to walk, changes nothing", async () => {
    const task = await newTask(ADMIN_TOKEN, { settings: { text: "x", frames: "1-10000000" } });
    const lease = await claim(worker.secret, task);
    const cost = await inTrivialRequests(async () => {
      for (const frames of ["2", "1-2", "1-10000000", "-5", "999999999"])
        await problem(await settle(lease, "fail", { frames, error: "mine" }), 422, "invalid");
    });
    expect(cost).toBeLessThan(MAX_TRIVIAL_REQUESTS);
    await problem(
      await settle(lease, "complete", {
        done: [
          { frame: 1, seconds: 1 },
          { frame: 9, seconds: 1 },
        ],
      }),
      422,
      "invalid",
    );
    const wrong = { done: [{ frame: 1, seconds: 1 }], attempt: lease.attempt + 1 };
    await problem(await settle(lease, "complete", wrong), 409, "lease_lost");
    expect(await okJson(await send("GET", `/tasks/${task}`), 200)).toMatchObject({
      frames: { leased: 1, done: 0, failed: 0 },
    });
  });

  it("P6: a worker that calls its failure the scene's stops that task alone, and none that has a good frame", async () => {
    const error = "the file has drivers that need Python, and scripts are off";
    const [stopped, going, beside] = [await newRender(), await newRender(), await newRender()];
    const given = await claim(worker.secret, stopped);
    expect(given.takes_fault).toBe(true);
    // The field is the manager's: an unknown word is refused by name.
    const unknown = await problem(
      await settle(given, "fail", { frames: given.frames, error, fault: "moon" }),
      422,
      "invalid",
    );
    expect(unknown.errors).toEqual([{ field: "fault", message: expect.stringContaining('"scene"') as string }]);
    await problem(
      await settle(given, "fail", { frames: given.frames, error, fault: "scene" }, other.secret),
      409,
      "lease_lost",
    );
    expect(await okJson(await send("GET", `/tasks/${stopped}`), 200)).toMatchObject({ status: "rendering" });
    await okJson(await settle(given, "fail", { frames: given.frames, error, fault: "scene" }), 200);
    expect(await okJson(await send("GET", `/tasks/${stopped}`), 200)).toMatchObject({
      status: "failed",
      error: `${error} (stopped at once: every other worker would find the same in the scene)`,
      errors: 1,
      frames: { pending: 4, failed: 0, leased: 0 },
      kept_off: [],
    });
    expect(await okJson(await send("GET", `/tasks/${stopped}/why`), 200)).toMatchObject({ rule: "ended" });
    await finish(worker.secret, await claim(worker.secret, going));
    const second = await claim(worker.secret, going);
    await okJson(await settle(second, "fail", { frames: second.frames, error, fault: "scene" }), 200);
    for (const task of [going, beside])
      expect(await okJson(await send("GET", `/tasks/${task}`), 200)).toMatchObject({ status: "queued" });
  });

  it("P9: a worker that says it lacks a program, or is not allowed scripts, is never sent such work", async () => {
    const task = await newTask(ADMIN_TOKEN, {
      type: "blender_render",
      settings: { file: "/shared/x.blend", frames: "1", autoexec: true },
      priority: 1_000,
    });
    const asks = async (programs: Record<string, string>, allow_autoexec: boolean): Promise<unknown> => {
      const json = { status: "available", programs, allow_autoexec };
      return (await okJson(await send("PATCH", `/workers/${other.id}`, { token: other.secret, json }), 200))["task_id"];
    };
    expect(await asks({ "tablao-tool": "1" }, true)).not.toBe(task);
    expect(await asks({ "tablao-tool": "1", blender: "3.4.1" }, false)).not.toBe(task);
    expect(await asks({ "tablao-tool": "1", blender: "3.4.1" }, true)).toBe(task);
    await send("DELETE", `/tasks/${task}`);
  });
});

describe("names that leave their folder, headers that split, text that acts", () => {
  const CLIMBING = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "C:\\x",
    "C:/x",
    "\\\\host\\x",
    "a\\..\\..\\x",
    "a//b",
    ".",
    "..",
    "con.png",
    "a/nul",
    "x\u0000.png",
    "x\r\nSet-Cookie: a=b",
    "x.",
    "a/ ",
    "\u202egnp.exe",
    "\u009b2J.png",
    "",
  ];

  it("P9: no asset of a task lands outside its folder", async () => {
    const sent = await uploadOf({ grant: "" }, "a scene");
    const hash = sent.headers!["Tablao-SHA256"]!;
    await send("PUT", `/assets/${hash}`, sent);
    for (const path of CLIMBING) {
      const settings = { program: "cat", frames: "1", assets: [{ path, sha256: hash, size: 7 }] };
      const refused = await problem(await send("POST", "/tasks", { json: { type: "exec", settings } }), 422, "invalid");
      expect(refused.errors?.[0]?.field, path).toBe("settings.assets.0.path");
    }
  });

  it("P9: no output name leads out of its attempt, and none gets into the zip as a path", async () => {
    const task = await newTask(ADMIN_TOKEN, {
      type: "exec",
      settings: { program: "x", frames: "1-2", outputs: "..%2f ñ;\"'-##.png".replace('"', "") },
    });
    const lease = await claim(worker.secret, task);
    for (const name of CLIMBING.filter((path) => !["", ".", ".."].includes(path))) {
      const response = await send("PUT", `/tasks/${task}/outputs/${encodeURIComponent(name)}`, {
        ...(await uploadOf(lease, "evil")),
        token: worker.secret,
      });
      await problem(response, 422, "invalid");
    }
    for (const name of ["%2e%2e", "..%2f..%2fassets%2fx", "%", "a%ff"]) {
      const response = await send("PUT", `/tasks/${task}/outputs/${name}`, {
        ...(await uploadOf(lease, "evil")),
        token: worker.secret,
      });
      expect([400, 404, 405, 422]).toContain(response.status);
    }
    await finish(worker.secret, {
      ...lease,
      plan: { ...lease.plan, outputs: lease.plan.outputs.map((o) => ({ ...o, name: encodeURIComponent(o.name) })) },
    });
    const { name } = lease.plan.outputs[0]!;
    const file = await send("GET", `/tasks/${task}/frames/1/file`);
    expect(file.headers.get("Content-Disposition")).toMatch(/^inline; filename="[ -~]+"; filename\*=UTF-8''[!-~]+$/);
    const zip = new Uint8Array(await (await send("GET", `/tasks/${task}/zip`)).arrayBuffer());
    const view = new DataView(zip.buffer);
    expect(new TextDecoder().decode(zip.slice(30, 30 + view.getUint16(26, true)))).toBe(name);
  });

  it("P10: no line of text carries a line end, an escape sequence or a mark that reverses its direction", async () => {
    for (const bad of [
      "a\r\nX: y",
      "a\nb",
      "\u001b[2J\u001b[1;1H",
      "\u009b31m",
      "\u202egnp",
      "\u0000",
      "\u007f",
      "\u2066x",
    ]) {
      const task = { type: "print_string", settings: { text: "x" }, name: bad };
      expect((await problem(await send("POST", "/tasks", { json: task }), 422, "invalid")).errors?.[0]?.field).toBe(
        "name",
      );
      const machine = { hostname: bad, system: "Linux" };
      expect(
        (await problem(await send("POST", "/workers", { json: machine }), 422, "invalid")).errors?.[0]?.field,
      ).toBe("hostname");
      await problem(await send("POST", "/tokens", { json: { role: "viewer", name: bad } }), 422, "invalid");
    }
  });

  it("P9: what a program printed is stored without anything a terminal would act on", async () => {
    const task = await newTask();
    const lease = await claim(worker.secret, task);
    const evil = "ok \u001b]0;owned\u0007\u001b[2J\u009b31m\r\nnext\u202e\u0008\u0000 line";
    // eslint-disable-next-line no-control-regex
    const clean = /^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]*$/;
    const log = { attempt: lease.attempt, text: evil };
    expect((await send("POST", `/tasks/${task}/log`, { token: worker.secret, json: log })).status).toBe(204);
    const report = { activity: evil, log: evil };
    await okJson(await send("PATCH", `/workers/${worker.id}`, { token: worker.secret, json: report }), 200);
    expect((await settle(lease, "fail", { frames: lease.frames, error: evil, log: evil })).status).toBe(200);
    const next = await claim(worker.secret, task);
    expect((await settle(next, "release", { reason: evil })).status).toBe(200);
    const { lines } = (await okJson(await send("GET", `/tasks/${task}/log`), 200)) as { lines: { text: string }[] };
    const { error } = (await okJson(await send("GET", `/tasks/${task}`), 200)) as { error: string };
    const shown = (await okJson(await send("GET", `/workers/${worker.id}`), 200)) as { activity: string; log: string };
    for (const text of [...lines.map((line) => line.text), error, shown.activity, shown.log]) {
      expect(text).toMatch(/^ok .*\nnext line/);
      expect(text).toMatch(clean);
    }
    const history = await vi.waitUntil(
      async () => {
        const { events } = await okJson(await send("GET", `/history?task_id=${task}`), 200);
        return (events as { kind: string; detail: string }[]).filter(({ kind }) => kind === "error" || kind === "lost");
      },
      { timeout: 120_000, interval: 200 },
    );
    for (const { detail } of history) expect(detail).toMatch(clean);
  });

  it("a header cannot be split by the text it echoes", async () => {
    const keys = ["a\tb", "ü", "x".repeat(256), ""];
    for (const key of keys) {
      const json = { type: "print_string", settings: { text: "x" } };
      const response = await send("POST", "/tasks", { json, headers: { "Idempotency-Key": key } });
      await problem(response, 400, "invalid_request");
    }
    const name = { hostname: "__proto__", system: "Linux" };
    const answer = await okJson(await send("POST", "/workers", { json: name }), 201);
    expect(Object.keys(answer)[0]).toMatch(/^__proto__/);
  });
});

describe("bodies", () => {
  // A restore must be announced before its bodies are read.
  const BODIES = ROUTES.filter((route) => route.body && !route.path.startsWith("/restore/outputs"));
  const path = (route: { path: string }): string =>
    route.path
      .replace("{id}", String(worker.id))
      .replace("{name}", "lease_s")
      .replace("{sha256}", "0".repeat(64))
      .replace("{lease_id}", "none")
      .replace("{version}", "4.5.3")
      .replace("{platform}", "linux-x64");
  const token = (who: "anyone" | readonly string[]): string => (who.includes("admin") ? ADMIN_TOKEN : worker.secret);

  it.each(BODIES.map((route) => [`${route.method} ${route.path}`, route] as const))(
    "P10: %s reads no compressed, oversize, deep or cut body",
    async (_key, route) => {
      const most = route.who === "anyone" ? MAX_OPEN_BODY_BYTES : MAX_BODY_BYTES;
      // Besides roles, output routes check the grant before they read the body.
      const tries: [Sent, number[]][] = [
        [
          { body: gzipped("{}"), headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" } },
          [415, 403],
        ],
        [
          { body: "{}", headers: { "Content-Type": "application/json", "Content-Encoding": "br, identity" } },
          [415, 403],
        ],
        [{ body: "x".repeat(most + 1), headers: { "Content-Type": "application/json" } }, [413, 403]],
        [{ body: '{"a":'.repeat(most / 8), headers: { "Content-Type": "application/json" } }, [400, 403]],
        [{ body: "[".repeat(most), headers: { "Content-Type": "application/json" } }, [400, 403]],
        [
          { body: "a=1&".repeat(most / 4), headers: { "Content-Type": "application/x-www-form-urlencoded" } },
          [400, 403],
        ],
        [
          { body: new Uint8Array([0x22, 0xff, 0xfe, 0x22]), headers: { "Content-Type": "application/json" } },
          [400, 403],
        ],
      ];
      for (const [sent, statuses] of tries) {
        const cost = await inTrivialRequests(async () => {
          const response = await send(route.method, path(route), { ...sent, token: token(route.who) });
          await response.arrayBuffer();
          expect(statuses).toContain(response.status);
        });
        expect(cost).toBeLessThan(MAX_TRIVIAL_REQUESTS);
      }
    },
  );

  it("files are stored as they come: never inflated, never without a length, never longer than stated", async () => {
    const sent = await uploadOf({ grant: "" }, gzipped("x".repeat(100_000)));
    const address = `/assets/${sent.headers!["Tablao-SHA256"]}`;
    await problem(
      await send("PUT", address, { ...sent, headers: { ...sent.headers, "Content-Encoding": "gzip" } }),
      415,
      "unsupported_media_type",
    );
    await problem(
      await send("PUT", address, { ...sent, headers: { ...sent.headers, "Content-Length": String(64 * 1024 * 1024) } }),
      413,
      "too_large",
    );
    expect((await send("HEAD", address)).status).toBe(404);
    expect((await send("PUT", address, sent)).status).toBe(201);
    const back = await send("GET", address, { headers: { "Accept-Encoding": "gzip" } });
    expect(back.headers.get("Content-Encoding")).toBeNull();
    expect(await sha256(new Uint8Array(await back.arrayBuffer()))).toBe(sent.headers!["Tablao-SHA256"]);
  });

  it("numbers at the limits are numbers or a 422, never a 500 or a NaN", async () => {
    for (const value of [
      "1e308",
      "-1e308",
      "1e400",
      "-0",
      "0.1",
      "9007199254740993",
      "-9223372036854775808",
      "1e-400",
      "NaN",
      "Infinity",
      '"１"',
      "true",
      "[1]",
      "null",
    ]) {
      const body = `{"type":"print_string","settings":{"text":"x"},"priority":${value}}`;
      const response = await send("POST", "/tasks", { body, headers: { "Content-Type": "application/json" } });
      const said = await response.text();
      expect([202, 400, 422], `${value}: ${said}`).toContain(response.status);
      if (response.status === 202) expect(JSON.parse(said)).toMatchObject({ priority: 0 });
    }
    const task = await newTask();
    const lease = await claim(worker.secret, task);
    for (const seconds of [-1, 1e9, 1e308])
      await problem(await settle(lease, "renew", { done: [{ frame: 1, seconds }] }), 422, "invalid");
    for (const progress of [-0.1, 1.1, 1e308])
      await problem(await settle(lease, "renew", { progress }), 422, "invalid");
    expect((await settle(lease, "renew", { progress: -0, done: [{ frame: 1, seconds: 1e-300 }] })).status).toBe(200);
  });

  it("P10: a frame list of any size costs what its text costs", async () => {
    const cost = await inTrivialRequests(async () => {
      const lists: [string, number][] = [
        [Array.from({ length: 1024 }, (_, i) => `${i * 10}-${i * 10 + 8}:2`).join(","), 202],
        [Array.from({ length: 1025 }, (_, i) => i * 2).join(","), 422],
        ["1-1000000000", 422],
        ["-1000000000-1000000000:2000", 202],
        ["1-10000000", 202],
        ["1,".repeat(32_768), 422],
        ["-".repeat(65_000), 422],
        ["9".repeat(60_000), 422],
        [" ".repeat(65_536), 422],
        [`1-10:${"0".repeat(60_000)}1`, 422],
        ["٣-٥", 422],
      ];
      for (const [frames, status] of lists) {
        const json = { type: "print_string", settings: { text: "x", frames } };
        const response = await send("POST", "/tasks", { json });
        await response.arrayBuffer();
        expect({ frames: frames.slice(0, 30), status: response.status }).toEqual({
          frames: frames.slice(0, 30),
          status,
        });
      }
      const task = await newTask(ADMIN_TOKEN, { settings: { text: "x", frames: "1-10000000" }, order: "preview" });
      for (const query of [
        "frames?state=done",
        "frames?frames=9999999",
        "files?frames=1-10000000",
        "zip?frames=1-10000000",
      ])
        expect([200, 404]).toContain((await send("GET", `/tasks/${task}/${query}`)).status);
      const skip = { status: "skip", frames: "1-10000000" };
      await problem(await send("PATCH", `/tasks/${task}`, { json: skip }), 422, "invalid");
    });
    expect(cost).toBeLessThan(5 * MAX_TRIVIAL_REQUESTS);
  });

  it("10 MB of one line is refused whole; accepted text is cut into rows and bounded", async () => {
    const task = await newTask();
    const lease = await claim(worker.secret, task);
    const log = async (length: number): Promise<Response> =>
      await send("POST", `/tasks/${task}/log`, {
        token: worker.secret,
        json: { attempt: lease.attempt, text: "é".repeat(length) },
      });
    await problem(await log(10_000_000), 413, "too_large");
    await problem(await log(1_000_001), 422, "invalid");
    for (let i = 0; i < 6; i++) expect((await log(900_000)).status).toBe(204);
    const page = (await okJson(await send("GET", `/tasks/${task}/log`), 200)) as {
      lines: { text: string }[];
      dropped: boolean;
    };
    const chars = page.lines.reduce((sum, line) => sum + line.text.length, 0);
    expect(page.dropped).toBe(true);
    expect(chars).toBeLessThanOrEqual(4_000_000);
    expect(Math.max(...page.lines.map((line) => line.text.length))).toBeLessThanOrEqual(250_000);
  });
});

describe("P9: requests from other sites", () => {
  it("no page of another site opens a worker's socket, whatever token it has", async () => {
    const path = `/workers/${worker.id}/socket`;
    for (const Origin of [
      "https://evil.example",
      "null",
      "http://farm.example",
      `${HOST}.evil.example`,
      `${HOST}:8443`,
    ]) {
      const headers = { Upgrade: "websocket", Origin };
      await problem(await send("GET", path, { token: worker.secret, headers }), 403, "forbidden");
    }
    const fine = await send("GET", path, { token: worker.secret, headers: { Upgrade: "websocket", Origin: HOST } });
    expect(fine.status).toBe(101);
    fine.webSocket?.accept();
    fine.webSocket?.close();
  });

  it("a socket cannot be opened in another worker's name by naming it in a header", async () => {
    const headers = { Upgrade: "websocket", "Tablao-Worker-Id": String(worker.id) };
    const response = await send("GET", `/workers/${other.id}/socket`, { token: other.secret, headers });
    expect(response.status).toBe(101);
    const socket = response.webSocket!;
    const pushes: string[] = [];
    socket.addEventListener("message", ({ data }) => pushes.push(String(data)));
    socket.accept();
    await send("PATCH", `/workers/${worker.id}`, { json: { status: "drain" } });
    await send("PATCH", `/workers/${worker.id}`, { json: { status: "enabled" } });
    await send("PATCH", `/workers/${other.id}`, { json: { status: "drain" } });
    await vi.waitUntil(() => pushes.some((push) => push.includes("drain")), { timeout: 120_000 });
    expect(pushes.filter((push) => push.includes("enable"))).toEqual([]);
    socket.close();
    await send("PATCH", `/workers/${other.id}`, { json: { status: "enabled" } });
  });

  it("a header that only the manager writes makes no client a viewer of the farm, or another worker", async () => {
    const viewer = JSON.stringify({ token: 0, share: null, untilMs: null });
    const forged = { Upgrade: "websocket", "Tablao-Viewer": viewer, "Tablao-Worker-Id": String(worker.id) };
    const seen: string[] = [];
    const open = async (path: string, token: string): Promise<void> => {
      const socket = (await send("GET", path, { token, headers: forged })).webSocket!;
      socket.addEventListener("message", ({ data }) => seen.push(String(data)));
      socket.accept();
      sockets.push(socket);
    };
    const sockets: WebSocket[] = [];
    await newTask(ADMIN_TOKEN, { name: "a secret film" });
    await open(`/workers/${other.id}/socket`, other.secret);
    await send("PATCH", `/workers/${other.id}`, { json: { status: "drain" } });
    await vi.waitUntil(() => seen.some((message) => message.includes("drain")), { timeout: 120_000 });
    expect(seen.join("")).not.toContain("a secret film");
    expect(seen.every((message) => /^\{"type":"(work|drain|enable|cancel)"/.test(message))).toBe(true);
    await send("PATCH", `/workers/${other.id}`, { json: { status: "enabled" } });
    for (const socket of sockets) socket.close();
  });

  it("no answer allows other sites to read it", async () => {
    const paths = [...new Set(ROUTES.map((route) => route.path.replaceAll(/\{\w+\}/g, "1")))];
    const asked = paths.flatMap((path) => ["GET", "OPTIONS"].map((method) => [method, path] as const));
    expect(asked.length).toBeGreaterThan(80);
    for (const [method, path] of asked) {
      const headers = {
        Origin: "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
      };
      const response = await send(method, path, { headers });
      const names: string[] = [];
      response.headers.forEach((_value, name) => names.push(name));
      expect(names.filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  it("guessing is slowed for every route alike, including registration and the exchange for access tokens", async () => {
    const headers = { "CF-Connecting-IP": freshAddress() };
    const guess = async (method: string, path: string): Promise<number> =>
      (
        await send(method, path, {
          token: `tablao_join_${fresh("g".repeat(36))}`,
          headers,
          json: method === "GET" ? undefined : {},
        })
      ).status;
    const doors = [
      ["POST", "/workers"],
      ["POST", "/auth/access"],
      ["GET", "/tasks"],
      ["POST", "/tokens"],
    ] as [string, string][];
    const statuses: number[] = [];
    for (let i = 0; i < MAX_FAILURES + 8; i++) statuses.push(await guess(...doors[i % doors.length]!));
    expect(statuses.filter((status) => status === 401)).toHaveLength(MAX_FAILURES);
    expect(statuses.slice(MAX_FAILURES).every((status) => status === 429)).toBe(true);
  });

  it("an artist has no way to run scripts or programs where the machine's owner has not agreed", async () => {
    const json = { type: "exec", settings: { program: "/bin/sh", args: ["-c", "id"], frames: "1" } };
    const { id } = await okJson(await send("POST", "/tasks", { token: artist.token, json }), 202);
    const claimed = await okJson(
      await send("PATCH", `/workers/${worker.id}`, { token: worker.secret, json: { status: "available" } }),
      200,
    );
    expect(claimed["task_id"]).not.toBe(id);
    await send("DELETE", `/tasks/${id as number}`);
  });
});

/** The text with one bit of one character changed, so that it is still base64url. */
function flipped(token: string, at: number): string {
  const was = token[at]!;
  const other = was === "A" ? "B" : "A";
  return token.slice(0, at) + other + token.slice(at + 1);
}

const zipped = new Map<string, Uint8Array<ArrayBuffer>>();
beforeAll(async () => {
  for (const content of ["{}", "x".repeat(100_000)]) {
    const stream = new Blob([text(content)]).stream().pipeThrough(new CompressionStream("gzip"));
    zipped.set(content, new Uint8Array(await new Response(stream).arrayBuffer()));
  }
});

/** Compress before the tests. */
function gzipped(content: string): Uint8Array<ArrayBuffer> {
  return zipped.get(content)!;
}
