/**
 * The page on a farm that renders: drop a scene, watch it, scrub through it, lose a worker, share
 * it.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import {
  DESKTOP,
  drawRange,
  dropOn,
  endBrowser,
  newVisitor,
  PHONE,
  signIn,
  tooWide,
  type Visitor,
  violations,
  watchShifts,
} from "../support/browser.ts";
import {
  endFarm,
  startAgent,
  startManager,
  submit,
  tablao,
  taskOf,
  untilStatus,
  type Agent,
  type Manager,
} from "../support/farm.ts";
import { instant } from "../../src/dashboard/lib/format.ts";
import { workersSchema, type Worker } from "../../src/protocol/worker.ts";
import type { ShareClaims } from "../../src/protocol/share.ts";
import { testFolder } from "../support/folders.ts";
import { filesOf, numbersIn } from "../support/history.ts";
import { hasProgram, testWith } from "../support/programs.ts";
import { makeScenes, writeTexture } from "../support/scenes.ts";
import { until } from "../support/wait.ts";

const browserTest = testWith("chromium");
/** Colours of the page in the light theme. The colours of the texture are far from both. */
const GREEN = [30, 138, 86];
const UPPER = [220, 30, 30] as const;
const LOWER = [30, 30, 220] as const;

let manager: Manager;
let admin: Visitor;
const agents: Agent[] = [];

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  agents.push(...(await Promise.all([startAgent(manager, { name: "left" }), startAgent(manager, { name: "right" })])));
  admin = await newVisitor();
  await signIn(admin, manager);
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

async function workersOf({ client }: Manager): Promise<Worker[]> {
  return Object.values(await client.call(workersSchema, "GET", "/workers"));
}

/** The middle of a frame's cell on the grid's canvas. */
async function colourOfCell({ page }: Visitor, cell: number): Promise<number[]> {
  return await page.locator(".grid").evaluate((grid: HTMLElement, index) => {
    const { layout } = (grid as unknown as { gridView: { layout: { columns: number; pitch: number } } }).gridView;
    const canvas = grid.querySelector("canvas")!;
    const middle = (at: number): number => Math.round((at + 0.4) * layout.pitch * devicePixelRatio);
    const [x, y] = [middle(index % layout.columns), middle(Math.floor(index / layout.columns))];
    // Read a copy: browsers warn that reading a canvas that is painted again and again is slow.
    const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })!;
    copy.drawImage(canvas, x, y, 1, 1, 0, 0, 1, 1);
    return Array.from(copy.getImageData(0, 0, 1, 1).data.subarray(0, 3));
  }, cell);
}

/** The number beside a state in the grid's legend. */
async function framesIn({ page }: Visitor, state: string): Promise<number> {
  const words = await page.locator(".legend").getByRole("button", { name: state }).innerText();
  return Number(/[\d,]+$/.exec(words)![0].replaceAll(",", ""));
}

/**
 * Start to record the numbers beside a state in the legend. The answer returns those that it has
 * seen.
 */
async function watchLegend({ page }: Visitor, state: string): Promise<() => Promise<number[]>> {
  await page.locator(".legend").evaluate((legend, state) => {
    const seen: number[] = [];
    const note = (): void => {
      const words = [...legend.children].map((child) => child.textContent).find((text) => text.includes(state));
      seen.push(Number(/[\d,]+$/.exec(words!)![0].replaceAll(",", "")));
    };
    note();
    new MutationObserver(note).observe(legend, { subtree: true, childList: true, characterData: true });
    Object.assign(globalThis, { legendSeen: seen });
  }, state);
  return async () => await page.evaluate(() => (globalThis as unknown as { legendSeen: number[] }).legendSeen);
}

/** What the player shows: its frame, and the colours of the upper and the lower half. */
async function shown({ page }: Visitor): Promise<{ frame: number; upper: number[]; lower: number[]; all: string }> {
  return await page.locator(".viewer-stage canvas").evaluate((canvas: HTMLCanvasElement) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true })!;
    copy.drawImage(canvas, 0, 0);
    const at = (y: number): number[] => {
      const [x, row] = [Math.round(canvas.width * 0.02), Math.round(canvas.height * y)];
      return Array.from(copy.getImageData(x, row, 1, 1).data.subarray(0, 3));
    };
    return { frame: Number(canvas.dataset["frame"]), upper: at(0.1), lower: at(0.9), all: canvas.toDataURL() };
  });
}

function near(actual: readonly number[], expected: readonly number[]): boolean {
  return actual.every((channel, index) => Math.abs(channel - expected[index]!) < 40);
}

const rendering = testWith("chromium", "blender", "ffmpeg");

browserTest("the frames of a killed agent become pending and are rendered by another", async () => {
  const { page } = admin;
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1, delay_ms: 1_500 });
  const task = ["--type", "demo_render", "--settings", settings, "--frames", "1-12", "--chunk", "3", "--lease", "6"];
  const id = await submit(manager, ...task, "--name", "survivor", "--paused");
  await page.goto(`${manager.url}/app/tasks/${id}`);
  await page.getByRole("button", { name: "Resume" }).click();
  const [killed, other] = agents as [Agent, Agent];
  const leaseOf = async (agent: Agent) => (await taskOf(manager, id)).leases.find((one) => one.worker_id === agent.id);
  const bothRender = async () => (await leaseOf(killed)) && (await leaseOf(other));
  await until(bothRender, { what: "both agents render" });
  await killed.kill();
  // The last frame of the lease: its rendering has not begun.
  const lost = numbersIn((await leaseOf(killed))!.frames).at(-1)!;
  const grid = page.getByRole("slider", { name: "Frames" });
  await grid.press("Home");
  for (let frame = 1; frame < lost; frame++) await grid.press("ArrowRight");
  await page.getByRole("heading", { name: `Frame ${lost}`, exact: true }).waitFor();
  await page
    .locator(".figure")
    .filter({ hasText: "Errors" })
    .getByText(/\+ \d+ lost/)
    .waitFor();
  await until(async () => (await framesIn(admin, "done")) === 12, { what: "all frames done" });
  expect((await untilStatus(manager, id, ["completed"])).errors).toBe(0);

  // A frame that was lost shows both attempts and the reason for the second, as soon as the history
  // has them.
  const tries = page.locator(".attempts");
  const both = new RegExp(`lost worker[^]*${killed.name}[^]*done[^]*${other.name}`);
  await until(async () => both.test(await tries.innerText()), {
    what: `both tries of frame ${lost}`,
  });

  // They must not be shown under the name of the next frame while that is loaded.
  const told = Promise.withResolvers<void>();
  await page.route(/\/frames\?frames=1$/, async (route) => {
    await told.promise;
    await route.continue();
  });
  await grid.press("Home");
  await page.getByRole("heading", { name: "Frame 1", exact: true }).waitFor();
  expect(await tries.count()).toBe(0);
  told.resolve();
  await tries.getByText("done").waitFor();
  await page.unroute(/\/frames\?frames=1$/);

  expect(admin.complaints).toEqual([]);
});

rendering("a dropped scene renders with its textures, and its frames turn green without a reload", async () => {
  const folder = testFolder("drop");
  const { textured } = makeScenes(folder, "textured");
  writeTexture(path.join(folder, "textures", "floor.png"), UPPER, LOWER);
  const { page } = admin;
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  await page.getByText("Drop a .blend here").waitFor();
  await dropOn(admin, ".drop", [textured, path.join(folder, "textures")]);
  await page.getByText("The scene needs 2 files").waitFor();
  await page.getByLabel("Frames", { exact: true }).fill("1-6");
  await page.getByLabel("Frames per lease").fill("2");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/app\/tasks\/\d+$/);
  await page.evaluate(() => Object.assign(globalThis, { sameDocument: true }));
  const doneSeen = await watchLegend(admin, "done");

  await until(async () => (await framesIn(admin, "rendering")) > 0, { what: "a frame that renders" });
  const shifts = await watchShifts(admin);
  await until(async () => near(await colourOfCell(admin, 0), GREEN), { what: "a green first frame" });
  await until(async () => (await framesIn(admin, "done")) === 6, { what: "all frames done" });
  // The frames turn done one after the other, not all at the end.
  expect((await doneSeen()).filter((frames) => frames > 0 && frames < 6)).not.toEqual([]);
  await page.locator(".head").getByText("Completed").waitFor();
  // The grid is painted with the next frame of the screen.
  for (let cell = 0; cell < 6; cell++) {
    await until(async () => near(await colourOfCell(admin, cell), GREEN), {
      what: `frame ${cell + 1} is green`,
    });
  }
  expect(await page.evaluate(() => "sameDocument" in globalThis)).toBe(true);
  const { score, moved } = await shifts();
  process.stderr.write(`layout shift while a task renders: ${score.toFixed(4)}\n`);
  // The rest are parts of the growing strip. Browsers call 0.1 good for a whole visit.
  expect(score, moved.join()).toBeLessThan(0.02);

  await page.locator(".viewer").getByText("6 previews").waitFor();
  await until(async () => (await shown(admin)).frame > 0, { what: "the newest preview" });
  const picture = await shown(admin);
  expect(near(picture.upper, UPPER), `upper half ${picture.upper.join()}`).toBe(true);
  expect(near(picture.lower, LOWER), `lower half ${picture.lower.join()}`).toBe(true);
  expect(admin.complaints).toEqual([]);
});

rendering("the player scrubs through what is finished, by previews alone, and nothing is polled", async () => {
  const { page, requests } = admin;
  const from = requests.length;
  const player = page.getByLabel("Frame shown");
  await player.focus();
  const seen = new Map<number, string>();
  for (const [key, frame] of [
    ["Home", 1],
    ["ArrowRight", 2],
    ["End", 6],
  ] as const) {
    await player.press(key);
    await until(async () => (await shown(admin)).frame === frame, {
      what: `frame ${frame} is shown`,
    });
    seen.set(frame, (await shown(admin)).all);
  }
  expect(new Set(seen.values()).size).toBe(3);
  await page.getByRole("button", { name: "Play" }).click();
  const played = new Set<number>();
  await until(async () => played.add((await shown(admin)).frame).size >= 4, {
    everyMs: 30,
    what: "four frames played",
  });
  await page.locator(".viewer").getByRole("button", { name: "Pause" }).click();
  const asked = requests.slice(from);
  expect(asked.filter((request) => !/^GET \/tasks\/\d+\/frames\/\d+\/preview\?a=\d+$/.test(request))).toEqual([]);
  // Each preview is loaded once, because the browser and the page cache them.
  expect(new Set(asked).size).toBe(asked.length);

  const before = requests.length;
  await page.waitForTimeout(4_000);
  expect(requests.slice(before)).toEqual([]);
  expect(admin.complaints).toEqual([]);
});

rendering("the frame that is gone to in the grid is the one in the picture and in the panel", async () => {
  const { page } = admin;
  const grid = page.locator(".grid");
  await grid.focus();
  for (const [key, frame] of [
    ["Home", 1],
    ["ArrowRight", 2],
    ["End", 6],
  ] as const) {
    await grid.press(key);
    await until(async () => (await shown(admin)).frame === frame, { what: `frame ${frame} is shown` });
    await page.getByRole("heading", { name: `Frame ${frame}`, exact: true }).waitFor();
  }
  // The panel names the Blender that rendered the frame.
  const { blender } = (await workersOf(manager))[0]!.programs;
  await page.locator(".frame-panel dd").getByText(blender!, { exact: true }).waitFor();
  expect(admin.complaints).toEqual([]);
});

rendering("the timeline leads to the frame that is clicked, and to its tries", async () => {
  const { page } = admin;
  await page.getByRole("tab", { name: "Timeline" }).click();
  const strip = page.getByRole("table", { name: "Timeline of workers over frames" }).locator("canvas").first();
  const { width } = (await strip.boundingBox())!;
  // The bar of a frame of this scene is a pixel or two wide.
  for (const [x, name] of [
    [width - 2, /^Frame [56]$/],
    [1, /^Frame 1$/],
  ] as const) {
    await strip.click({ position: { x, y: 12 } });
    await page.getByRole("heading", { name }).waitFor();
    await page.locator(".attempts").getByText("done").waitFor();
  }
  await page.getByRole("button", { name: "Log of the lease" }).first().click();
  await page.getByText(/Lease \d+ only/).waitFor();
  await page.getByRole("log").getByText("Fra:1 ").first().waitFor();
  expect(admin.complaints).toEqual([]);
});

testWith("chromium", "ffmpeg")("a range drawn with the pointer is downloaded as a zip, a video as itself", async () => {
  const { page } = admin;
  const folder = testFolder("downloads");
  const download = async (name: string): Promise<Buffer> => {
    const coming = page.waitForEvent("download");
    await page.getByRole("link", { name, exact: true }).click();
    const file = path.join(folder, (await coming).suggestedFilename());
    await (await coming).saveAs(file);
    return readFileSync(file);
  };
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1 });
  const id = await submit(manager, "--type", "demo_render", "--settings", settings, "--frames", "1-4");
  const video = await submit(manager, "--type", "ffmpeg_video", "--settings", JSON.stringify({ task: id }));
  await untilStatus(manager, video, ["completed"]);
  await page.goto(`${manager.url}/app/tasks/${id}`);
  await page.locator(".legend").getByText("done 4").waitFor();
  await drawRange(admin, 2, 3);
  await page.getByRole("button", { name: "Download", exact: true }).click();
  await page.getByText("2 files, ").waitFor();
  const zip = await download("As one file");
  const names = [1, 2, 3, 4].map((frame) => `frame_000${frame}.png`);
  expect(names.filter((name) => zip.includes(name))).toEqual(["frame_0002.png", "frame_0003.png"]);
  await page.goto(`${manager.url}/app/tasks/${video}`);
  expect((await download("Video")).subarray(4, 8).toString()).toBe("ftyp");
  expect(readdirSync(folder).toSorted()).toEqual([`task-${id}.zip`, "video.mp4"]);
  expect(admin.complaints).toEqual([]);
});

/** What the folder has that the page chose, by name: the SHA-256 of each file. */
async function filesInFolder({ page }: Visitor): Promise<Record<string, string>> {
  return await page.evaluate(async () => {
    const found: Record<string, string> = {};
    const folder = await navigator.storage.getDirectory();
    for await (const [name, handle] of folder.entries()) {
      const bytes = await (await (handle as FileSystemFileHandle).getFile()).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      found[name] = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    }
    return found;
  });
}

browserTest("files are saved one by one into a folder, and again only those that are missing or changed", async () => {
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1 });
  const id = await submit(manager, "--type", "demo_render", "--settings", settings, "--frames", "1-6");
  await untilStatus(manager, id, ["completed"]);
  // A visitor of its own: the browser writes failed requests on the console.
  const visitor = await newVisitor();
  const { page, requests } = visitor;
  await signIn(visitor, manager);
  // Nobody can answer the browser's own dialog here. This folder is the page's own, with the same
  // interface.
  await page.addInitScript(() => {
    Object.assign(globalThis, { showDirectoryPicker: async () => await navigator.storage.getDirectory() });
  });
  const open = async (): Promise<void> => {
    await page.goto(`${manager.url}/app/tasks/${id}`);
    await page.getByRole("button", { name: "Download all" }).click();
  };
  const save = async (outcome: string): Promise<string[]> => {
    const from = requests.length;
    await page.getByRole("button", { name: "Save into a folder" }).click();
    await page.getByText(outcome, { exact: true }).waitFor();
    return requests
      .slice(from)
      .filter((request) => request.endsWith("/file"))
      .toSorted();
  };
  const fetched = (...frames: number[]): string[] => frames.map((frame) => `GET /tasks/${id}/frames/${frame}/file`);
  const committed = async (): Promise<Record<string, string>> =>
    Object.fromEntries((await filesOf(manager, id)).map(({ name, sha256 }) => [name, sha256]));

  await open();
  await page.getByText("6 files, ").waitFor();
  expect(await violations(visitor)).toEqual([]);
  expect(await save("6 files saved.")).toEqual(fetched(1, 2, 3, 4, 5, 6));
  expect(await filesInFolder(visitor)).toEqual(await committed());
  expect(await save("0 files saved, 6 already there.")).toEqual([]);

  // One is missing, one is not whole, and one is rendered again, to the same size.
  await page.evaluate(async () => {
    const folder = await navigator.storage.getDirectory();
    await folder.removeEntry("frame_0002.png");
    const part = await (await folder.getFileHandle("frame_0003.png")).createWritable();
    await part.write("half");
    await part.close();
  });
  expect(await tablao(manager, "requeue", String(id), "--frames", "5", "--yes")).toMatchObject({ code: 0 });
  await untilStatus(manager, id, ["completed"]);
  await open();
  expect(await save("3 files saved, 3 already there.")).toEqual(fetched(2, 3, 5));
  expect(await filesInFolder(visitor)).toEqual(await committed());

  // A file that the manager does not give is named, and the others are saved. A request that gets no
  // answer is made again.
  await page.evaluate(async () => {
    const folder = await navigator.storage.getDirectory();
    for (const frame of [4, 5, 6]) await folder.removeEntry(`frame_000${frame}.png`);
  });
  const gone = { type: "/problems/not_found", title: "t", status: 404, code: "not_found", detail: "It is gone." };
  await page.route(/\/frames\/4\/file$/, (route) =>
    route.fulfill({ status: 404, contentType: "application/problem+json", body: JSON.stringify(gone) }),
  );
  await page.route(/\/frames\/6\/file$/, (route) => route.abort(), { times: 1 });
  expect(await save("2 files saved, 3 already there.")).toEqual(fetched(4, 5, 6, 6));
  await page.getByText("1 file could not be saved:").waitFor();
  await page.getByText("frame_0004.png: It is gone.").waitFor();
  const { "frame_0004.png": missing, ...others } = await committed();
  expect(missing).toBeDefined();
  expect(await filesInFolder(visitor)).toEqual(others);
  await visitor.close();
});

browserTest("a link shows its task to another person and nothing more, until it is voided", async () => {
  const { page } = admin;
  const settings = JSON.stringify({ width: 32, height: 18, samples: 1 });
  const id = await submit(
    manager,
    "--type",
    "demo_render",
    "--settings",
    settings,
    "--frames",
    "1-4",
    "--name",
    "shown",
  );
  const hidden = await submit(
    manager,
    "--type",
    "print_string",
    "--settings",
    '{"text":"x"}',
    "--frames",
    "1",
    "--name",
    "hidden",
  );
  await untilStatus(manager, id, ["completed"]);
  await page.goto(`${manager.url}/app/tasks/${id}`);
  await page.getByRole("button", { name: "Share" }).click();
  await page.getByRole("button", { name: "Make a link" }).click();
  const link = await page.getByRole("dialog").locator("code").innerText();
  await page.getByRole("button", { name: "Close" }).click();

  const guest = await newVisitor();
  await guest.page.goto(link);
  await guest.page.getByRole("heading", { name: "shown" }).waitFor();
  await until(async () => (await framesIn(guest, "done")) === 4, {
    what: "the guest sees the frames",
  });
  await until(async () => (await shown(guest)).frame > 0, { what: "the guest sees a picture" });
  expect(await guest.page.getByRole("tab").allInnerTexts()).toEqual(["Seconds per frame", "Timeline"]);
  expect(await guest.page.getByRole("navigation").count()).toBe(0);
  await guest.page.getByRole("table", { name: "Seconds per frame" }).waitFor();
  await guest.page.getByRole("link", { name: "frame_0001.png" }).waitFor();
  expect(await guest.page.getByRole("link").allInnerTexts()).toEqual(["Open the full frame", "frame_0001.png"]);
  expect(await guest.page.getByRole("button").allInnerTexts()).not.toContain("Requeue");
  for (const [colorScheme, viewport] of [
    ["light", DESKTOP],
    ["dark", PHONE],
  ] as const) {
    await guest.page.emulateMedia({ colorScheme });
    await guest.page.setViewportSize(viewport);
    await guest.page.locator(`html[data-theme=${colorScheme}]`).waitFor();
    await guest.page.locator(viewport === PHONE ? ".task-pair.stack" : ".task-pair.pair").waitFor();
    expect([...(await violations(guest)), ...(await tooWide(guest))], colorScheme).toEqual([]);
  }
  await guest.page.setViewportSize(DESKTOP);
  expect(guest.complaints).toEqual([]);

  // The cookie gives no access to what the page does not show.
  const refused = [
    `/tasks/${hidden}`,
    "/tasks",
    "/workers",
    "/history",
    "/settings",
    "/tokens",
    `/tasks/${id}/log`,
    `/tasks/${id}/why`,
    `/tasks/${id}/zip`,
    "/metrics",
  ];
  for (const address of refused) {
    const status = await guest.page.evaluate(async (at) => (await fetch(at)).status, address);
    expect([address, status]).toEqual([address, 403]);
  }
  const change = await guest.page.evaluate(
    async (at) =>
      (
        await fetch(at, {
          method: "PATCH",
          headers: { "Content-Type": "application/json" },
          body: '{"status":"pause"}',
        })
      ).status,
    `/tasks/${id}`,
  );
  expect(change).toBe(403);
  const opened = (at: string) =>
    guest.page.evaluate(
      async (socketPath) =>
        await new Promise<boolean>((resolve) => {
          const socket = new WebSocket(location.origin.replace("http", "ws") + socketPath);
          socket.addEventListener("open", () => resolve(true));
          socket.addEventListener("error", () => resolve(false));
        }),
      at,
    );
  expect([await opened(`/tasks/${id}/live`), await opened("/live"), await opened(`/tasks/${hidden}/live`)]).toEqual([
    true,
    false,
    false,
  ]);
  await guest.page.goto(`${manager.url}/app`);
  await guest.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await guest.page.goto(link);
  await guest.page.getByRole("heading", { name: "shown" }).waitFor();
  // The end is that of the link, a week away; that of the session is after 12 hours.
  const claims = Buffer.from(link.split("#")[1]!.split(".")[0]!, "base64url").toString();
  const { exp_ms } = JSON.parse(claims) as ShareClaims;
  expect(exp_ms).toBeGreaterThan(Date.now() + 6 * 86_400_000);
  await guest.page.getByText(`This link is valid until ${instant(exp_ms)}.`).waitFor();

  await page.getByRole("button", { name: "Share" }).click();
  await page.getByRole("button", { name: "Revoke all links" }).click();
  await guest.page.getByText("This link is not valid any more.").waitFor();
  await guest.close();
  expect(admin.complaints).toEqual([]);
});

browserTest("the farm shows that the killed agent is gone, without polling", async () => {
  const { page } = admin;
  await page.getByRole("link", { name: "Farm" }).click();
  const row = page.getByRole("table", { name: "Workers" }).getByRole("row").filter({ hasText: "left" });
  await row.waitFor();
  const from = admin.requests.length;
  // A worker is offline after 45 s of silence, and the manager checks every 15 s: at most 75 s
  // after the kill.
  await row.getByText("Offline").waitFor();
  // All of this came over the socket.
  expect(admin.requests.slice(from)).toEqual([]);
  expect(admin.complaints).toEqual([]);
});
