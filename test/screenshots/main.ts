/**
 * `npm run screenshots`: makes pictures of every view, in light, dark and on a phone, of a farm
 * that renders, in docs/images. It takes some minutes and needs Blender, ffmpeg and Chromium.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { dropOn, endBrowser, newVisitor, PHONE, signIn, type Visitor } from "../support/browser.ts";
import { CHECKOUT, endFarm, startManager, type Manager } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { fillStudio, type Studio } from "./studio.ts";

const IMAGES = path.join(CHECKOUT, "docs/images");
/**
 * Every clone of the repository keeps every version of a picture, so a larger one would cost too
 * much.
 */
const MAX_BYTES = 150_000;
const WIDE = { width: 1280, height: 900 };
const MODES = {
  light: { theme: "light", viewport: WIDE },
  dark: { theme: "dark", viewport: WIDE },
  phone: { theme: "light", viewport: PHONE },
} as const;

interface Shot {
  name: string;
  /** Bring the view into the state for the picture. */
  go: (visitor: Visitor, at: (address: string) => Promise<void>) => Promise<void>;
}

const tab = async ({ page }: Visitor, name: string): Promise<void> => {
  const chosen = page.getByRole("tab", { name });
  await chosen.click();
  await page
    .getByRole("tablist")
    .first()
    .evaluate((list) => list.scrollIntoView({ block: "start" }));
  await page.evaluate(() => scrollBy(0, -76));
};

const EMPTY: Shot[] = [{ name: "empty", go: async (_, at) => await at("/app") }];

function shotsOf({ scene, dance, spheres, stuck }: Studio): Shot[] {
  return [
    { name: "farm", go: async (_, at) => await at("/app") },
    { name: "task", go: async (_, at) => await at(`/app/tasks/${spheres}`) },
    {
      name: "times",
      go: async (visitor, at) => {
        await at(`/app/tasks/${spheres}`);
        await tab(visitor, "Seconds per frame");
      },
    },
    {
      name: "why",
      go: async ({ page }, at) => {
        await at(`/app/tasks/${stuck}`);
        await page.getByRole("button", { name: "Why?" }).click();
        await page.locator(".why-text").waitFor();
      },
    },
    {
      name: "failed",
      go: async ({ page }, at) => {
        await at("/app/tasks/1");
        await page.getByRole("button", { name: "Log of the lease" }).first().waitFor();
      },
    },
    { name: "worker", go: async (_, at) => await at("/app/workers/1") },
    {
      name: "submit",
      go: async (visitor, at) => {
        await at("/app/submit");
        await dropOn(visitor, ".drop", [scene]);
        await visitor.page.locator(".drop-files li").waitFor();
      },
    },
    { name: "history", go: async (_, at) => await at("/app/history") },
    { name: "manage", go: async (_, at) => await at("/app/manage") },
    {
      name: "storage",
      go: async ({ page }, at) => {
        await at("/app/manage?view=storage");
        await page.getByRole("group", { name: "Largest tasks" }).waitFor();
      },
    },
    {
      name: "share",
      go: async ({ page }, at) => {
        await at(`/app/tasks/${dance}`);
        await page.getByRole("button", { name: "Share" }).click();
        await page.getByRole("button", { name: "Make a link" }).click();
        const link = await page.getByRole("dialog").locator("code").innerText();
        // As the receiver of the link sees it: not signed in.
        await page.context().clearCookies();
        await page.evaluate(() => localStorage.clear());
        await page.goto("about:blank");
        await page.goto(link);
        await page.locator("h1").waitFor();
      },
    },
  ];
}

/** Wait until nothing is loading and nothing moves. */
async function settled(page: Page): Promise<void> {
  await page.getByText("Loading …").first().waitFor({ state: "detached" });
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(1_200);
}

/**
 * Take the picture. Where that makes it smaller, reduce its colours to a number at which no
 * difference is visible.
 */
async function take(page: Page, name: string): Promise<void> {
  const file = path.join(IMAGES, `page-${name}.png`);
  await page.screenshot({ path: file });
  const fewer = `${file}.fewer.png`;
  const filter = "split[a][b];[a]palettegen=max_colors=256:stats_mode=full[p];[b][p]paletteuse=dither=none";
  execFileSync("ffmpeg", ["-v", "error", "-y", "-i", file, "-vf", filter, "-compression_level", "100", fewer]);
  renameSync(fewer, file);
  const { size } = statSync(file);
  process.stdout.write(`${path.relative(CHECKOUT, file)}  ${(size / 1_000).toFixed(0)} kB\n`);
  if (size > MAX_BYTES) throw new Error(`${file} has ${size} bytes; at most ${MAX_BYTES} are kept`);
}

async function takeAll(manager: Manager, shots: readonly Shot[]): Promise<void> {
  for (const [mode, options] of Object.entries(MODES)) {
    const visitor = await newVisitor(options);
    await signIn(visitor, manager);
    const at = async (address: string): Promise<void> => {
      await visitor.page.goto(manager.url + address);
      await visitor.page.locator("h1").waitFor({ state: "attached" });
    };
    for (const { name, go } of shots) {
      await go(visitor, at);
      await settled(visitor.page);
      await take(visitor.page, `${name}-${mode}`);
    }
    if (visitor.complaints.length > 0) throw new Error(`the page complained: ${visitor.complaints.join("; ")}`);
    await visitor.close();
  }
}

async function takeSignIn(manager: Manager): Promise<void> {
  for (const [mode, options] of Object.entries(MODES)) {
    const visitor = await newVisitor(options);
    const { page } = visitor;
    await page.goto(`${manager.url}/app`);
    await page.getByLabel("Token").waitFor();
    await settled(page);
    await take(page, `sign-in-${mode}`);
    await visitor.close();
  }
}

const folder = temporaryFolder("screenshots");
try {
  mkdirSync(IMAGES, { recursive: true });
  const manager = await startManager();
  await takeSignIn(manager);
  await takeAll(manager, EMPTY);
  const studio = await fillStudio(manager, folder.path);
  await takeAll(manager, shotsOf(studio));
} finally {
  await endBrowser();
  await endFarm();
  folder.remove();
}
