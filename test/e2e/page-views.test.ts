/**
 * Every view of the page: how soon it is painted, on a phone, for a screen reader, in light and
 * dark, and its actions.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cleanEnvironment, startChild } from "../support/child.ts";
import {
  dropOn,
  endBrowser,
  firstPaintMs,
  mainThreadMs,
  newVisitor,
  PHONE,
  signIn,
  tooWide,
  violations,
  type Visitor,
} from "../support/browser.ts";
import { MAX_INPUTS } from "../../src/protocol/constants.ts";
import { assetsStoredSchema } from "../../src/protocol/file.ts";
import { bytes, counted } from "../../src/dashboard/lib/format.ts";
import { piecesOfParts, pieceListText } from "../../src/protocol/piece-list.ts";
import { timingsSchema } from "../../src/protocol/live.ts";
import { storageSchema } from "../../src/protocol/storage.ts";
import { taskListSchema } from "../../src/protocol/task.ts";
import { settingSchema } from "../../src/protocol/setting.ts";
import { tokenCreatedSchema } from "../../src/protocol/token.ts";
import { CHECKOUT, endFarm, startManager, submit, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { temporaryFolder, testFolder } from "../support/folders.ts";
import { hasProgram, testWith } from "../support/programs.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";

const browserTest = testWith("chromium");
const MAX_FIRST_PAINT_MS = 1_000;
const MAX_FIRST_PAINT_CPU_MS = 500;
const MAX_SCRIPT_BYTES = 120_000;

let manager: Manager;
let admin: Visitor;
/** The folder of the agent that joins by the page's command. All tests after that use it. */
const joined = temporaryFolder("joined");

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  admin = await newVisitor();
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
  joined.remove();
});

browserTest("the page of a manager that has just started is painted within a second", async () => {
  // The best of three managers, because other load on the machine only adds to the time. On a
  // loaded machine the time shows that load; then the CPU time of the page shows that it needs
  // little.
  let best = Infinity;
  let bestCpuMs = Infinity;
  for (let round = 0; round < 3 && best >= MAX_FIRST_PAINT_MS; round++) {
    const cold = round === 0 ? manager : await startManager();
    const visitor = await newVisitor();
    await visitor.page.goto(`${cold.url}/app`);
    await visitor.page.getByLabel("Token").waitFor();
    const painted = await firstPaintMs(visitor);
    const cpuMs = await mainThreadMs(visitor.page);
    process.stderr.write(
      `first paint of a cold manager's page: ${painted.toFixed(0)} ms, ${cpuMs.toFixed(0)} of CPU\n`,
    );
    best = Math.min(best, painted);
    bestCpuMs = Math.min(bestCpuMs, cpuMs);
    await visitor.close();
    if (cold !== manager) await cold.stop();
  }
  expect(best < MAX_FIRST_PAINT_MS || bestCpuMs < MAX_FIRST_PAINT_CPU_MS, `${best} ms, ${bestCpuMs} ms of CPU`).toBe(
    true,
  );
});

test("the scripts that the page starts with are at most 120 kB, compressed", () => {
  const built = path.join(CHECKOUT, "public");
  const html = readFileSync(path.join(built, "index.html"), "utf8");
  const scripts = [...html.matchAll(/(?:src|href)="(\/app\/static\/[^"]+\.js)"/g)].map((match) => match[1]!);
  const bytes = scripts.reduce((sum, script) => sum + gzipSync(readFileSync(path.join(built, script))).length, 0);
  process.stderr.write(`scripts at the start: ${scripts.length}, ${(bytes / 1_000).toFixed(1)} kB gzip\n`);
  expect(scripts.length).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(MAX_SCRIPT_BYTES);
});

browserTest("an empty farm says what to do, and its join line lets a machine join", async () => {
  const { page } = admin;
  await signIn(admin, manager);
  await page.getByRole("heading", { name: "Get started" }).waitFor();
  await page.getByRole("button", { name: "Make a join line" }).click();
  const shown = page.getByLabel("Linux and macOS", { exact: true });
  const command = await shown.innerText();
  const service = page.getByLabel("Start with the machine (as a service)");
  await service.check();
  expect(await shown.innerText()).toBe(command.replace(/ sh$/, " TABLAO_SERVICE=1 sh"));
  await service.uncheck();
  const [, url] = /^curl -fsS (\S+)\/join\.sh \| TABLAO_JOIN=(\S+) sh$/.exec(command)!;
  expect(url).toBe(manager.url);
  await page.getByText("Only this machine can reach 127.0.0.1").waitFor();
  await admin.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy: Linux and macOS" }).click();
  const copied = async (): Promise<boolean> => (await page.evaluate(() => navigator.clipboard.readText())) === command;
  await until(copied, { what: "the command in the clipboard" });
  // The line itself, in a home of its own; options follow as arguments.
  const line = command.replace(/ sh$/, " sh -s -- --name joined");
  startChild("sh", ["-c", line], { env: cleanEnvironment({ HOME: joined.path }) });
  // The page shows it without a reload.
  await page.getByText("1 worker joined.").waitFor();
  await page.getByRole("table", { name: "Workers" }).getByRole("link", { name: "joined" }).waitFor();
});

browserTest("a bad token is refused in words; the link of npm start signs in after a question", async () => {
  const visitor = await newVisitor();
  const { page } = visitor;
  await page.goto(`${manager.url}/app`);
  await page.getByLabel("Token").fill("not a token");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This token is not valid").waitFor();
  expect(visitor.complaints.splice(0)).toEqual([expect.stringContaining("401")]);
  await page.goto(`${manager.url}/app/sign-in#${manager.token}`);
  await page.getByText("This link has the token of admin.").waitFor();
  expect(await violations(visitor)).toEqual([]);
  expect(page.url()).toBe(`${manager.url}/app/sign-in`);
  await page.getByRole("button", { name: "Sign in as admin" }).click();
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
  expect(page.url()).toBe(`${manager.url}/app`);
  const kept = await page.evaluate(() =>
    JSON.stringify([history.state, Object.entries(localStorage), document.cookie]),
  );
  expect(kept).not.toContain(manager.token);
  await page.goBack();
  expect(page.url()).not.toContain(manager.token);
  await page.goto(`${manager.url}/app`);
  // Browsers complain about a socket that is closed before it is open.
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Token").waitFor();
  expect(visitor.complaints).toEqual([]);
  await visitor.close();
});

browserTest("a waiting task and an idle worker show which rule holds them, as the command line does", async () => {
  const { page } = admin;
  const text = ["--type", "print_string", "--settings", '{"text":"x"}'];
  const id = await submit(manager, ...text, "--frames", "1-3", "--tags", "gpu", "--name", "needs a gpu");
  await page.goto(`${manager.url}/app/tasks/${id}`);
  await page.getByRole("button", { name: "Why?" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("No worker can take it").waitFor();
  expect(await violations(admin)).toEqual([]);
  const said = (await tablao(manager, "why", String(id))).stdout;
  expect(said).toContain(await dialog.locator(".why-text").innerText());
  await dialog.getByRole("link", { name: /./ }).first().click();
  await page.getByRole("button", { name: "Why?" }).click();
  await dialog.getByText("Passed over").waitFor();
  expect((await tablao(manager, "why", "--worker", "1")).stdout).toContain(
    await dialog.locator(".why-text").innerText(),
  );
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Edit" }).click();
  await dialog.getByLabel("Tags").fill("gpu, big");
  await dialog.getByLabel("Name").fill("ana's workstation");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "ana's workstation" }).waitFor();
  await untilStatus(manager, id, ["completed"]);
  for (const [act, state] of [
    ["Drain", "Drained"],
    ["Enable", "Idle"],
    ["Disable", "Disabled"],
    ["Enable", "Idle"],
  ] as const) {
    await page.getByRole("button", { name: act, exact: true }).click();
    await page.locator(".head").getByText(state, { exact: true }).waitFor();
    if (act === "Drain") expect((await tablao(manager, "workers")).stdout).toContain("drained");
  }
  expect(admin.complaints).toEqual([]);
});

/** An element that a view or a tab has once it is loaded. Most say "Loading …" until then. */
type Shows = (page: Page) => Locator;
const heading: Shows = (page) => page.locator("h1");
const panel: Shows = (page) => page.getByRole("tabpanel");
const table =
  (name: string): Shows =>
  (page) =>
    page.getByRole("table", { name });
const words =
  (said: string): Shows =>
  (page) =>
    page.getByRole("tabpanel").getByText(said);
const CHARTS = {
  "Seconds per frame": table("Seconds per frame by worker"),
  Timeline: table("Timeline of workers over frames"),
};

const VIEWS: [address: string, shows: Shows, tabs?: Record<string, Shows>][] = [
  ["/app", table("Workers")],
  ["/app/tasks/1", panel, { ...CHARTS, Settings: (page) => page.getByRole("heading", { name: "Command" }) }],
  ["/app/tasks/2", panel, CHARTS],
  ["/app/tasks/3", panel],
  ["/app/workers/1", heading],
  ["/app/submit", (page) => page.getByLabel("Frames", { exact: true })],
  ["/app/history", panel, { Days: panel, Workers: panel }],
  [
    "/app/manage",
    panel,
    {
      Tokens: words("No tokens yet"),
      Settings: (page) => page.locator(".setting-row").first(),
      Webhooks: words("No webhooks yet"),
      Storage: (page) => page.getByRole("group", { name: "Largest tasks" }),
    },
  ],
  ["/app/nowhere", heading],
  ["/app/tasks/99999", heading],
];

/** Open every view, and every tab in it. */
async function inEveryView(visitor: Visitor, check: (view: string) => Promise<void>): Promise<void> {
  const { page } = visitor;
  const loaded = (): Promise<void> => page.getByText("Loading …").first().waitFor({ state: "detached" });
  for (const [address, shows, tabs = {}] of VIEWS) {
    await page.goto(manager.url + address);
    await heading(page).waitFor({ state: "attached" });
    await shows(page).waitFor({ state: "attached" });
    await loaded();
    await check(address);
    for (const [tab, shows] of Object.entries(tabs)) {
      await page.getByRole("tab", { name: tab }).click();
      await page.getByRole("tabpanel", { name: tab }).waitFor();
      await shows(page).waitFor();
      await loaded();
      await check(`${address} ${tab}`);
    }
  }
}

browserTest.each(["light", "dark"] as const)(
  "in %s colours no view has anything that axe-core finds wrong, or is wider than a phone",
  async (theme) => {
    if (theme === "light") {
      const long =
        "sc030_sh120_v004_final_FINAL_really_final_with_a_name_that_nobody_should_ever_give_but_somebody_will";
      const small = ["--type", "demo_render", "--settings", '{"width":32,"height":18,"samples":1}'];
      const done = await submit(manager, ...small, "--frames", "1-12", "--name", long);
      const text = ["--type", "print_string", "--settings", '{"text":"x"}'];
      await submit(manager, ...text, "--frames", "1-100000", "--paused", "--name", "paused");
      await untilStatus(manager, done, ["completed"]);
    }
    for (const viewport of [PHONE, { width: 1280, height: 860 }]) {
      const visitor = await newVisitor({ theme, viewport });
      await visitor.page.goto(`${manager.url}/app`);
      await visitor.page.getByLabel("Token").waitFor();
      expect([...(await violations(visitor)), ...(await tooWide(visitor))], "sign in").toEqual([]);
      await signIn(visitor, manager);
      await inEveryView(visitor, async (view) => {
        expect([...(await violations(visitor)), ...(await tooWide(visitor))], view).toEqual([]);
      });
      // The last address is not that of a task, and the browser reports the 404.
      expect(visitor.complaints.filter((words) => !words.includes("404"))).toEqual([]);
      await visitor.close();
    }
  },
);

browserTest(
  "Manage shows what is stored as the API tells it, the largest tasks first, and a task's head its bytes",
  async () => {
    const { page } = admin;
    const { outputs, owners } = await manager.client.call(storageSchema, "GET", "/storage");
    const { tasks } = await manager.client.call(taskListSchema, "GET", "/storage/tasks");
    expect(outputs.bytes).toBeGreaterThan(0);
    await page.goto(`${manager.url}/app/manage?view=storage`);
    const largest = page.getByRole("group", { name: "Largest tasks" });
    await largest.waitFor();
    const figures = await page.locator(".storage-figures dd").allInnerTexts();
    expect(figures).toEqual([
      `${bytes(outputs.bytes)} in ${counted(outputs.tasks, "task")}`,
      expect.stringMatching(/ in \d+ files?$/),
      "$0.00",
    ]);
    const cells = async (of: Locator): Promise<string[][]> =>
      await of
        .locator("tbody tr")
        .evaluateAll((rows) =>
          rows.map((row) => [...row.children].map((cell) => (cell as HTMLElement).innerText.trim())),
        );
    expect(await cells(page.getByRole("group", { name: "By owner" }))).toEqual(
      owners.map((owner) => [owner.owner, bytes(owner.bytes), String(owner.tasks)]),
    );
    const shown = await cells(largest);
    expect(shown.map((row) => row[1])).toEqual(tasks.map((task) => bytes(task.stored_bytes!)));
    await largest.getByRole("link").first().click();
    await page.waitForURL(`${manager.url}/app/tasks/${tasks[0]!.id}`);
    const stored = page.locator(".figure").filter({ hasText: "Stored" }).locator("dd");
    await expect.poll(async () => await stored.innerText()).toBe(bytes(tasks[0]!.stored_bytes!));
    expect(admin.complaints).toEqual([]);
  },
);

browserTest("on a phone, the chosen tab of Manage is in view, however the page was opened", async () => {
  const visitor = await newVisitor({ viewport: PHONE });
  const { page } = visitor;
  await signIn(visitor, manager);
  for (const name of ["Storage", "Workers"]) {
    await page.goto(`${manager.url}/app/manage?view=${name.toLowerCase()}`);
    const tab = page.getByRole("tab", { name, selected: true });
    await tab.waitFor();
    const isInView = async (): Promise<boolean> => {
      const box = (await tab.boundingBox())!;
      return box.x >= 0 && box.x + box.width <= PHONE.width;
    };
    await until(isInView, { what: `the tab ${name} in view` });
  }
  await visitor.close();
});

browserTest("no dialog violates a rule of axe-core, in light and in dark colours", async () => {
  const { page } = admin;
  const dialog = page.getByRole("dialog");
  const inBoth = async (name: string): Promise<void> => {
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.locator(`html[data-theme=${colorScheme}]`).waitFor();
      expect(await violations(admin), `${name} ${colorScheme}`).toEqual([]);
    }
  };
  const checkDialog = async (button: string, inside?: string): Promise<void> => {
    await page.getByRole("button", { name: button, exact: true }).click();
    await dialog.waitFor();
    if (inside !== undefined) await dialog.locator(inside).waitFor();
    await inBoth(button);
  };
  const close = async (): Promise<void> => {
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  };
  await page.goto(`${manager.url}/app/tasks/3`);
  await checkDialog("Why?", ".why-text");
  await close();
  await checkDialog("Cancel task");
  await close();
  await checkDialog("Share");
  await dialog.getByRole("button", { name: "Make a link" }).click();
  await dialog.locator("code").waitFor();
  await inBoth("Share, with a link");
  await close();
  await page.goto(`${manager.url}/app/tasks/1`);
  await checkDialog("Remove");
  await page.goto(`${manager.url}/app/workers/1`);
  await checkDialog("Why?", ".why-text");
  await close();
  await checkDialog("Edit");
  await close();
  await checkDialog("Remove");
  const token = { role: "viewer", name: "axe" };
  await manager.client.call(tokenCreatedSchema, "POST", "/tokens", { json: token });
  await page.goto(`${manager.url}/app/manage?view=tokens`);
  await checkDialog("Revoke axe");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("button", { name: "Revoke axe" }).waitFor({ state: "detached" });
  await manager.client.call(settingSchema, "PATCH", "/settings/webhook_hosts", { json: { value: ["127.0.0.1"] } });
  await page.getByRole("tab", { name: "Webhooks" }).click();
  await page.getByLabel("Address").fill("http://127.0.0.1:9/axe");
  await page.getByRole("button", { name: "Add webhook" }).click();
  await checkDialog("Remove");
  await dialog.getByRole("button", { name: "Remove" }).click();
  await page.getByText("No webhooks yet").waitFor();
  expect(admin.complaints).toEqual([]);
});

browserTest("a click on an outlier among the times of a task leads to its frame", async () => {
  const { page } = admin;
  // A real frame that takes as long would delay the test.
  await page.route(/\/timings\?/, async (route) => {
    const response = await route.fetch();
    const timings = timingsSchema.parse(await response.json());
    timings.seconds[6] = 30;
    await route.fulfill({ response, json: timings });
  });
  await page.goto(`${manager.url}/app/tasks/2`);
  await page.getByRole("tab", { name: "Seconds per frame" }).click();
  await page.getByRole("button", { name: /^Frame 7: 30/ }).click();
  await page.getByRole("heading", { name: "Frame 7", exact: true }).waitFor();
  await page.locator(".attempts").getByText("done").waitFor();
  await page.unroute(/\/timings\?/);
  expect(admin.complaints).toEqual([]);
});

browserTest("an upload of a large file that is stopped continues with the missing pieces", async () => {
  const { page, requests } = admin;
  const folder = testFolder("large");
  const scene = path.join(folder, "large.blend");
  writeFileSync(scene, testScene({ images: ["//cache.exr"] }));
  const sceneHash = createHash("sha256").update(readFileSync(scene)).digest("hex");
  const file = path.join(folder, "cache.exr");
  // Two whole pieces and a third, small one, each different from the others.
  const pieces = [1, 2, 3].map((byte) => Buffer.alloc(byte < 3 ? 32 * 1_048_576 : 1_000, byte));
  const hashes = pieces.map((piece) => createHash("sha256").update(piece).digest("hex"));
  writeFileSync(file, Buffer.concat(pieces));
  // The page cannot be submitted before it knows the settings of the type.
  const types = Promise.withResolvers<void>();
  let asked = 0;
  await page.route(/\/types$/, async (route) => {
    if (asked++ === 0) return await route.fulfill({ status: 503 });
    await types.promise;
    await route.continue();
  });
  await page.goto(`${manager.url}/app/submit`);
  await page.getByRole("button", { name: "Try again" }).click();
  expect(admin.complaints.splice(0)).toEqual([expect.stringContaining("503")]);
  await page.locator(".drop").waitFor();
  expect(await page.getByRole("button", { name: "Submit" }).isDisabled()).toBe(true);
  types.resolve();
  await page.getByLabel("Frames", { exact: true }).waitFor();
  await page.unroute(/\/types$/);
  await dropOn(admin, ".drop", [scene, file]);
  await page.getByText("The scene needs 2 files, 67.1 MB, itself included.").waitFor();
  await page.getByLabel("Submit paused").check();
  // The second piece hangs, as on a dead connection.
  const hangs = Promise.withResolvers<void>();
  const second = new RegExp(`/assets/${hashes[1]}$`);
  await page.route(second, () => hangs.resolve());
  await page.getByRole("button", { name: "Submit" }).click();
  // Stop only when the other pieces have arrived and the second was requested: a request that is
  // reported later would count as new.
  await hangs.promise;
  await page.getByText(/Uploading 3\d\.\d MB of 67.1 MB/).waitFor();
  expect(await page.getByRole("progressbar", { name: "Upload" }).getAttribute("max")).toBe(
    String(67_109_864 + statSync(scene).size),
  );
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped. The manager keeps what has arrived").waitFor();
  await page.unroute(second);
  const from = requests.length;
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/app\/tasks\/\d+$/);
  const list = pieceListText(piecesOfParts(67_109_864, hashes));
  const name = createHash("sha256").update(list).digest("hex");
  const sent = requests
    .slice(from)
    .flatMap((request) => /^PUT \S*(\/assets\/.*)$/.exec(request)?.[1] ?? [])
    // The scene is sent last, so the stop may come before it.
    .filter((name) => name !== `/assets/${sceneHash}`);
  expect(sent).toEqual([`/assets/${hashes[1]}`, `/assets/${name}/pieces`]);
  const stored = await manager.client.send("GET", `/assets/${name}`);
  expect(await stored.text()).toBe(list);
  await page.getByRole("heading", { name: "large" }).waitFor();
  await page.getByRole("button", { name: "Cancel task" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel task" }).click();
  await page.locator(".head").getByText("Canceled").waitFor();
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.waitForURL(`${manager.url}/app`);
  expect(admin.complaints).toEqual([]);
});

browserTest("many small files travel together; one that a batch does not store is sent alone", async () => {
  const { page, requests } = admin;
  const folder = testFolder("small");
  const files = Array.from({ length: 30 }, (_, i) => path.join(folder, `texture-${i}.png`));
  for (const [i, file] of files.entries()) writeFileSync(file, `texture ${i} `.repeat(i * 10));
  const scene = path.join(folder, "small.blend");
  writeFileSync(scene, testScene());
  await page.goto(`${manager.url}/app/submit`);
  await page.getByLabel("Frames", { exact: true }).waitFor();
  await dropOn(admin, ".drop", [scene, ...files]);
  await page.getByText("The scene needs 1 file").waitFor();
  await page.getByLabel(/^Also send 30 files that the scene does not name/).check();
  await page.getByText("The scene needs 31 files").waitFor();
  await page.getByLabel("Submit paused").check();
  let refused = "";
  await page.route(/\/assets$/, async (route) => {
    const response = await route.fetch();
    const answer = assetsStoredSchema.parse(await response.json());
    if (refused === "") {
      refused = answer.assets[5]!.sha256;
      answer.assets[5]!.status = 503;
    }
    await route.fulfill({ response, json: answer });
  });
  const from = requests.length;
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/app\/tasks\/\d+$/);
  await page.unroute(/\/assets$/);
  const sent = requests.slice(from).filter((request) => /^(PUT|POST) \/assets/.test(request));
  expect(sent.toSorted()).toEqual(["POST /assets", "POST /assets", "POST /assets/missing", `PUT /assets/${refused}`]);
  await page.getByRole("heading", { name: "small" }).waitFor();
  expect(admin.complaints).toEqual([]);
});

browserTest("P10: more files than a task takes are refused before one is read or sent", async () => {
  const { page, requests } = admin;
  await page.goto(`${manager.url}/app/submit`);
  await page.getByLabel("Frames", { exact: true }).waitFor();
  const input = page.locator(".drop input").first();
  await input.evaluate(
    (element: HTMLInputElement, [count, scene]) => {
      const chosen = new DataTransfer();
      chosen.items.add(new File([Uint8Array.from(scene)], "many.blend"));
      for (let i = 0; i < count; i++) chosen.items.add(new File(["x"], `${i}.vdb`));
      element.files = chosen.files;
      element.dispatchEvent(new Event("change", { bubbles: true }));
    },
    [MAX_INPUTS, [...testScene()]] as const,
  );
  await page.getByText(`+ ${MAX_INPUTS + 1 - 8}`).waitFor();
  await page.getByLabel(/^Also send 10,?000 files that the scene does not name/).check();
  await page.getByText(/The scene needs 10,?001 files/).waitFor();
  const from = requests.length;
  await page.getByRole("button", { name: "Submit" }).click();
  const told = page
    .getByRole("alert")
    .getByText("Too many files: a task takes at most 10000 files, and these are 10001.");
  await told.waitFor();
  expect(requests.slice(from).filter((request) => /^(PUT|POST) /.test(request))).toEqual([]);
  expect(admin.complaints).toEqual([]);
});

browserTest("tokens, webhooks and workers are created and removed; history is saved as CSV and JSON", async () => {
  const { page } = admin;
  await page.goto(`${manager.url}/app/manage`);
  await page.getByRole("tab", { name: "Tokens" }).click();
  await page.getByLabel("Name").fill("ben");
  await page.getByLabel("Role").selectOption("viewer");
  await page.getByRole("button", { name: "Create" }).click();
  const token = await page.locator(".copy code").innerText();
  expect(token).toMatch(/^tablao_viewer_/);
  const viewer = await newVisitor();
  await signIn(viewer, { url: manager.url, token });
  expect(await viewer.page.getByRole("navigation").getByRole("link").allInnerTexts()).toEqual(["Farm", "History"]);
  await viewer.close();
  await page.getByRole("button", { name: "Revoke ben" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("button", { name: "Revoke ben" }).waitFor({ state: "detached" });

  await manager.client.call(settingSchema, "PATCH", "/settings/webhook_hosts", { json: { value: ["127.0.0.1"] } });
  await page.getByRole("tab", { name: "Webhooks" }).click();
  await page.getByLabel("Address").fill("http://127.0.0.1:9/hook");
  await page.getByRole("button", { name: "Add webhook" }).click();
  await page.locator(".hook").getByText("http://127.0.0.1:9/hook").waitFor();

  await page.getByRole("link", { name: "History" }).click();
  await page.getByLabel("What").selectOption("submitted");
  await page.getByRole("row").nth(2).waitFor();
  const folder = testFolder("saved");
  for (const kind of ["CSV", "JSON"] as const) {
    const saving = page.waitForEvent("download");
    await page.getByText(kind, { exact: true }).click();
    const saved = await saving;
    await saved.saveAs(path.join(folder, saved.suggestedFilename()));
  }
  await until(() => readdirSync(folder).length === 2, { what: "both files" });
  expect(readdirSync(folder).toSorted()).toEqual(["history.csv", "history.json"]);
  const csv = readFileSync(path.join(folder, "history.csv"), "utf8").trim().split("\n");
  const { events } = JSON.parse(readFileSync(path.join(folder, "history.json"), "utf8")) as {
    events: { kind: string }[];
  };
  // The manager writes the history later: the event of a third task may not be in it yet.
  expect(csv.length - 1).toBeGreaterThanOrEqual(2);
  expect(events.length).toBeGreaterThanOrEqual(csv.length - 1);
  expect(new Set(events.map((event) => event.kind))).toEqual(new Set(["submitted"]));

  await page.goto(`${manager.url}/app/workers/1`);
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.waitForURL(`${manager.url}/app`);
  await page.getByRole("table", { name: "Workers" }).waitFor({ state: "detached" });
  expect(admin.complaints).toEqual([]);
});

browserTest("P9: a sign-in link of somebody else asks first, and never leaves its token in the address", async () => {
  const token = async (role: string, name: string): Promise<string> =>
    (await manager.client.call(tokenCreatedSchema, "POST", "/tokens", { json: { role, name } })).token;
  const [ana, bob] = [await token("artist", "ana"), await token("artist", "bob")];
  const visitor = await newVisitor();
  const { page } = visitor;
  const live = page.getByRole("status").filter({ hasText: "Live" });
  const whoAmI = async (): Promise<string> =>
    await page.evaluate(async () => ((await (await fetch("/auth/session")).json()) as { name: string }).name);
  const clean = async (address = "/app"): Promise<void> => {
    expect(page.url()).toBe(manager.url + address);
    const kept = await page.evaluate(() => JSON.stringify([history.state, Object.entries(localStorage), name]));
    for (const secret of [ana, bob]) expect(kept).not.toContain(secret);
  };
  await signIn(visitor, { url: manager.url, token: ana });
  // Somebody who is signed in stays so until they say otherwise, and the farm is not left behind.
  await page.goto(`${manager.url}/app/sign-in#${bob}`);
  await page.getByText("You are signed in as ana (artist). This link has the token of bob (artist).").waitFor();
  await clean("/app/sign-in");
  expect(await violations(visitor)).toEqual([]);
  await page.getByRole("button", { name: "Stay ana (artist)" }).click();
  await live.waitFor();
  await clean();
  expect(await whoAmI()).toBe("ana");
  // The address is changed in the tab that is open: the page is not loaded again.
  await page.goto(`${manager.url}/app/sign-in`);
  await live.waitFor();
  await clean();
  await page.evaluate((to) => {
    history.replaceState(null, "", "/app/sign-in");
    location.hash = to;
  }, bob);
  await page.getByRole("heading", { name: "Sign in as bob (artist)?" }).waitFor();
  await clean("/app/sign-in");
  await page.getByRole("button", { name: "Sign in as bob (artist)" }).click();
  await live.waitFor();
  await clean();
  expect(await whoAmI()).toBe("bob");
  // One's own link asks nothing.
  await page.goto(`${manager.url}/app/sign-in/#${bob}`);
  await live.waitFor();
  await clean();
  // A link that does not work signs nobody out.
  await page.goto(`${manager.url}/app/sign-in#${ana}x`);
  await page.getByText("This token is not valid").waitFor();
  await clean("/app/sign-in");
  await page.getByRole("button", { name: "Stay bob (artist)" }).click();
  await live.waitFor();
  expect(await whoAmI()).toBe("bob");
  // Signed out: it asks, too.
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Token").waitFor();
  await page.goto(`${manager.url}/app/sign-in#${ana}`);
  await page.getByText("This link has the token of ana (artist).").waitFor();
  await page.getByRole("button", { name: "Use another token" }).click();
  await page.getByLabel("Token").waitFor();
  await clean();
  await visitor.close();
});
