/** A project folder that is dropped on the page: the scene is read in the browser, and renders as by hand. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { z } from "zod";
import { dropOn, endBrowser, newVisitor, PHONE, signIn, violations, type Visitor } from "../support/browser.ts";
import { endFarm, startAgent, startManager, tablao, taskOf, untilStatus, type Manager } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { pixelsOf } from "../support/pictures.ts";
import { hasProgram, testWith } from "../support/programs.ts";
import { testScene } from "../support/test-scene.ts";

const MAKER = path.join(import.meta.dirname, "fixtures/project.py");
const assetsSchema = z.array(z.object({ path: z.string() }));

let manager: Manager;
let admin: Visitor;

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  admin = await newVisitor();
  await signIn(admin, manager);
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

async function drop(visitor: Visitor, ...files: string[]): Promise<void> {
  await visitor.page.goto(`${manager.url}/app/submit`);
  await visitor.page.getByLabel("Frames", { exact: true }).waitFor();
  await dropOn(visitor, ".drop", files);
}

testWith(
  "chromium",
  "blender",
  "ffmpeg",
)("P12: a dropped project folder sends what its scene needs, from any layout, and renders as by hand", async () => {
  const folder = path.join(testFolder("dropped"), "film");
  const blender = (...args: string[]): void =>
    void execFileSync("blender", ["-b", ...args], { stdio: "pipe", timeout: 120_000 });
  blender("--factory-startup", "--python-exit-code", "1", "--python", MAKER, "--", folder);
  const scene = path.join(folder, "shots/shot.blend");
  const byHand = path.join(folder, "../by-hand/####");
  blender(scene, "-o", byHand, "-F", "PNG", "-x", "1", "-f", "3");
  // What lies about in a project is not sent.
  for (const name of ["shots/Thumbs.db", "shots/shot.blend1", ".DS_Store", "notes.txt"])
    writeFileSync(path.join(folder, name), name);
  writeFileSync(path.join(folder, "shots/other.blend"), testScene());

  await startAgent(manager, { name: "renderer" });
  const { page } = admin;
  await drop(admin, folder);
  await page.getByLabel("Scene file").selectOption("film/shots/shot.blend");
  await page.getByText("Blender 3.4 · scene “Scene” · frames 3-4 · 64×36 · CYCLES").waitFor();
  await page.getByText(/^The scene needs 4 files, /).waitFor();
  expect(await page.getByLabel("Frames", { exact: true }).inputValue()).toBe("3-4");
  // The folder may have moved since: the absolute path is found by its end.
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.waitForURL(/\/app\/tasks\/\d+$/);
  const id = Number(/\d+$/.exec(page.url())![0]);
  const task = await untilStatus(manager, id, ["completed", "failed"], 120_000);
  expect(task).toMatchObject({ status: "completed", error: null, frames: { total: 2, done: 2 } });
  const { settings } = await taskOf(manager, id);
  expect(settings).toMatchObject({ file: "shots/shot.blend", frames: "3-4", format: "PNG", blender: "3.4" });
  expect(
    assetsSchema
      .parse(settings["assets"])
      .map((asset) => asset.path)
      .toSorted(),
  ).toEqual(["lib/char.blend", "shots/shot.blend", "textures/floor.png", "textures/skin.png"]);
  const out = path.join(folder, "../out");
  expect((await tablao(manager, "download", String(id), out)).code).toBe(0);
  const [farm, hand] = [path.join(out, "frame_0003.png"), path.join(folder, "../by-hand/0003.png")].map(pixelsOf);
  expect([farm!.width, farm!.height]).toEqual([64, 36]);
  let [red, blue] = [0, 0];
  for (let y = 0; y < 36; y++)
    for (let x = 0; x < 64; x++) {
      const colour = farm!.at(x, y);
      expect(colour).toEqual(hand!.at(x, y));
      if (colour[0] > 150 && colour[2] < 120) red++;
      if (colour[2] > 150 && colour[0] < 120) blue++;
    }
  // Both textures are in the picture.
  expect(Math.min(red, blue)).toBeGreaterThan(50);
  expect(admin.complaints).toEqual([]);
});

testWith("chromium")("P12: what a scene lacks is named at once on the page, and is not submitted", async () => {
  const folder = path.join(testFolder("lacking"), "film");
  mkdirSync(path.join(folder, "tex"), { recursive: true });
  writeFileSync(path.join(folder, "s.blend"), testScene({ images: ["//tex/a.png", "//tex/b.png", "//../c.png"] }));
  writeFileSync(path.join(folder, "tex/a.png"), "a");
  const { page, requests } = admin;
  await drop(admin, folder);
  await page.getByText("2 files that the scene needs are missing:").waitFor();
  await page.getByText("image “b.png”: //tex/b.png is not there").waitFor();
  await page.getByText("image “c.png”: //../c.png is not there").waitFor();
  const from = requests.length;
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.getByRole("alert").getByText("The scene needs a file that is missing: image “b.png”").waitFor();
  expect(requests.slice(from).filter((request) => /^(PUT|POST) /.test(request))).toEqual([]);
  expect(await violations(admin)).toEqual([]);
  // A file that is no scene says so.
  renameSync(path.join(folder, "tex/a.png"), path.join(folder, "tex/none.blend"));
  await drop(admin, path.join(folder, "tex"));
  await page.getByRole("alert").getByText("This scene cannot be read:").waitFor();
  expect(readdirSync(folder).toSorted()).toEqual(["s.blend", "tex"]);
  expect(admin.complaints).toEqual([]);
});

testWith("chromium")("the report of a scene fits a phone", async () => {
  const phone = await newVisitor({ viewport: PHONE, theme: "dark" });
  await signIn(phone, manager);
  const folder = path.join(testFolder("phone"), "film");
  mkdirSync(folder, { recursive: true });
  const images = ["//textures/a-very-long-name-of-a-texture-that-nobody-would-type.png", "/mnt/share/b.png"];
  writeFileSync(path.join(folder, "s.blend"), testScene({ images }));
  await phone.page.goto(`${manager.url}/app/submit`);
  await phone.page.getByLabel("Frames", { exact: true }).waitFor();
  await phone.page
    .locator("input[type=file]")
    .first()
    .setInputFiles({ name: "s.blend", mimeType: "", buffer: testScene({ images }) });
  await phone.page.getByText("2 files that the scene needs are missing:").waitFor();
  expect(await violations(phone)).toEqual([]);
  const overflow = await phone.page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBe(0);
  if (process.env["TABLAO_LOOK"]) {
    await phone.page.screenshot({ path: `${process.env["TABLAO_LOOK"]}/phone.png`, fullPage: true });
    await drop(admin, folder);
    await admin.page.getByText("missing:").waitFor();
    await admin.page.screenshot({ path: `${process.env["TABLAO_LOOK"]}/desktop.png`, fullPage: true });
  }
  await phone.close();
});
