/**
 * The parts of the API that the page uses, on a real manager: sign-in, live sockets, why, links,
 * webhooks, metrics.
 */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, expect, test } from "vitest";
import { WebSocket, type ClientOptions } from "ws";
import type { FarmMessage, TaskMessage } from "../../src/protocol/live.ts";
import { endFarm, startAgent, startManager, submit, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { until } from "../support/wait.ts";

afterAll(endFarm);

interface Page<M> {
  messages: M[];
  closed: () => number | null;
  end(): void;
}

/**
 * A live socket as a browser opens it. Browsers wait for `closeTimeout` until the other side has
 * closed.
 */
function open<M>(manager: Manager, path: string, headers: Record<string, string>): Page<M> {
  const options: ClientOptions & { closeTimeout: number } = { headers, closeTimeout: 2_000 };
  const socket = new WebSocket(manager.url.replace("http", "ws") + path, options);
  let code: number | null = null;
  const messages: M[] = [];
  socket.on("message", (data: Buffer) => messages.push(JSON.parse(data.toString()) as M));
  socket.on("close", (closed) => (code = closed));
  socket.on("error", () => (code ??= -1));
  return { messages, closed: () => code, end: () => socket.close() };
}

async function signIn(manager: Manager, token: string): Promise<Record<string, string>> {
  const answer = await fetch(`${manager.url}/auth/session`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Origin: manager.url },
    body: JSON.stringify({ token }),
  });
  expect(answer.status, await answer.clone().text()).toBe(201);
  await answer.arrayBuffer();
  return { Cookie: answer.headers.get("Set-Cookie")!.split(";")[0]!, Origin: manager.url };
}

/** The page's files come without the Worker, with the headers that it would give them. */
async function expectFiles(manager: Manager, html: string): Promise<void> {
  const files = [...html.matchAll(/(?:src|href)="(\/app\/static\/[^"]+)"/g)].map((match) => match[1]!);
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) {
    const answer = await fetch(manager.url + file);
    await answer.arrayBuffer();
    expect([file, answer.status, Object.fromEntries(answer.headers)]).toMatchObject([
      file,
      200,
      {
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
      },
    ]);
    expect(answer.headers.get("content-type")).toMatch(/^(text\/(javascript|css)|image\/svg\+xml)/);
  }
  // The Worker would answer with a problem document.
  const posted = await fetch(manager.url + files[0]!, { method: "POST" });
  expect([posted.status, posted.headers.get("content-type")]).toEqual([405, null]);
  await posted.arrayBuffer();
  // An answer of the platform itself would be cached for a year, like the files.
  for (const path of ["/app/static/index-old.js", "/index.html", "/_headers", "/.sources"]) {
    const answer = await fetch(manager.url + path);
    expect([path, answer.status, answer.headers.get("content-type"), answer.headers.get("cache-control")]).toEqual([
      path,
      404,
      "application/problem+json",
      "no-store",
    ]);
    await answer.arrayBuffer();
  }
}

test("a page signs in, submits, sees every frame become done, and is told why a task waits", async () => {
  const manager = await startManager();
  const page = await fetch(`${manager.url}/app/tasks/1`);
  expect([page.status, page.headers.get("Content-Type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(page.headers.get("Content-Security-Policy")).toContain("default-src 'none'");
  await page.arrayBuffer();
  expect((await fetch(`${manager.url}/tasks/1`)).headers.get("Content-Type")).toBe("application/problem+json");
  await expectFiles(manager, await (await fetch(`${manager.url}/app`)).text());

  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  let refuse = true;
  const receiver = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      received.push({ headers: request.headers, body });
      response.writeHead(refuse ? 500 : 204).end();
      refuse = false;
    });
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  try {
    const { port } = receiver.address() as AddressInfo;
    const cookie = await signIn(manager, manager.token);
    const allowed = await fetch(`${manager.url}/settings/webhook_hosts`, {
      method: "PATCH",
      headers: { ...cookie, "Content-Type": "application/json" },
      body: JSON.stringify({ value: ["127.0.0.1"] }),
    });
    expect(allowed.status).toBe(200);
    const hooked = await fetch(`${manager.url}/webhooks`, {
      method: "POST",
      headers: { ...cookie, "Content-Type": "application/json" },
      body: JSON.stringify({ url: `http://127.0.0.1:${port}/hook`, events: ["task.completed"] }),
    });
    const { secret } = (await hooked.json()) as { secret: string };

    const farm = open<FarmMessage>(manager, "/live", cookie);
    const stranger = open<FarmMessage>(manager, "/live", { ...cookie, Origin: "https://elsewhere.example" });
    const sent = await fetch(`${manager.url}/tasks`, {
      method: "POST",
      headers: { ...cookie, "Content-Type": "application/json" },
      body: JSON.stringify({
        type: "demo_render",
        settings: { frames: "1-6", width: 32, height: 18 },
        chunk: 2,
        tags: ["gpu"],
      }),
    });
    const { id } = (await sent.json()) as { id: number };
    const task = open<TaskMessage>(manager, `/tasks/${id}/live`, cookie);
    await until(() => task.messages[0] ?? undefined, { what: "the task's snapshot" });
    const lonely = await tablao(manager, "why", String(id));
    expect([lonely.code, lonely.stdout]).toEqual([0, `task ${id} (queued): No worker has joined this manager yet.\n`]);
    const agent = await startAgent(manager, { name: "plain" });
    const lacking = await tablao(manager, "why", String(id));
    expect(lacking.stdout).toMatch(
      /No worker can take it: 1 worker without what it needs\.[^]*plain +cannot +It lacks the tag gpu\./,
    );
    expect((await tablao(manager, "why", "--worker", String(agent.id))).stdout).toContain("It lacks the tag gpu");
    expect((await tablao(manager, "why")).code).toBe(2);
    await startAgent(manager, { name: "gpu", args: ["--tags", "gpu"] });
    await untilStatus(manager, id, ["completed"]);
    const done = () =>
      new Set(
        task.messages.flatMap((m) =>
          m.type === "delta" ? (m.frames ?? []).filter((f) => f.state === "done").map((f) => f.frame) : [],
        ),
      );
    await until(() => (done().size === 6 ? true : undefined), { what: "six frames that turned done" });
    await until(
      () =>
        farm.messages.some((m) => m.tasks?.some((t) => t.id === id && t.status === "completed")) ? true : undefined,
      {
        what: "the end, in the farm's view",
      },
    );
    expect(stranger.closed()).not.toBeNull();

    // The receiver failed once: the same delivery comes again, with a new signature.
    await until(() => received[1], { what: "the second try" });
    const [first, second] = received;
    expect(second!.headers["tablao-delivery"]).toBe(first!.headers["tablao-delivery"]);
    for (const { headers, body } of received) {
      const [, t, mac] = /^t=(\d+),v1=(\w+)$/.exec(String(headers["tablao-signature"]))!;
      expect(createHmac("sha256", secret).update(`${t}.${body}`).digest("hex")).toBe(mac);
      expect(JSON.parse(body)).toMatchObject({ event: "task.completed", task: { id, status: "completed" } });
    }

    const numbers = await (
      await fetch(`${manager.url}/metrics`, { headers: { Authorization: `Bearer ${manager.token}` } })
    ).text();
    expect(numbers).toContain('tablao_tasks{status="completed"} 1\n');
    expect(numbers).toContain("tablao_frames_done_total 6\n");
    for (const one of [farm, task]) one.end();
  } finally {
    receiver.close();
  }
});

test("a link shows one task in another browser, and ends when it is voided", async () => {
  const manager = await startManager();
  const [id, other] = [
    await submit(manager, "--type", "print_string", "--settings", '{"text":"x"}', "--frames", "1-3", "--name", "shown"),
    await submit(manager, "--type", "print_string", "--settings", '{"text":"x"}', "--frames", "1"),
  ];
  const made = await tablao(manager, "share", String(id), "--for", "2h");
  expect(made.code).toBe(0);
  const [address, token] = made.stdout.trim().split("#");
  expect(address).toBe(`${manager.url}/app/share`);
  const cookie = await signIn(manager, token!);
  const statusOf = async (path: string) => (await fetch(manager.url + path, { headers: cookie })).status;
  expect([
    await statusOf(`/tasks/${id}`),
    await statusOf(`/tasks/${other}`),
    await statusOf("/tasks"),
    await statusOf(`/tasks/${id}/log`),
  ]).toEqual([200, 403, 403, 403]);
  const page = open<TaskMessage>(manager, `/tasks/${id}/live`, cookie);
  await until(() => page.messages[0], { what: "the snapshot" });
  expect(page.messages[0]).toMatchObject({ task: { name: "shown", settings: {}, owner: "" } });
  expect((await tablao(manager, "share", String(id), "--revoke")).code).toBe(0);
  await until(() => page.closed() ?? undefined, { what: "the end" });
  expect(page.closed()).toBe(4003);
});
