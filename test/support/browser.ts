/**
 * The Chromium of this machine with the page of a manager. Errors and warnings of the page are
 * recorded. Tests that use it are `testWith("chromium")`.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium, type Browser, type BrowserContext, type Page, type ViewportSize } from "playwright-core";
import type { Manager } from "./farm.ts";
import { HANG_MS } from "./wait.ts";

export const DESKTOP: ViewportSize = { width: 1280, height: 860 };
export const PHONE: ViewportSize = { width: 360, height: 740 };
/**
 * A host name that the browser resolves to this machine. Unlike `localhost`, it is no secure context over http: pages
 * lack what browsers offer in secure contexts only.
 */
export const PLAIN_HOST = "farm.lan";

let browser: Browser | undefined;

/** The browser of this file's tests, started once. */
async function startBrowser(): Promise<Browser> {
  browser ??= await chromium.launch({
    executablePath: execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim(),
    // Chromium's sandbox does not start as root, which containers are.
    args: [`--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
  });
  return browser;
}

/** For `afterAll`, before the farm ends. */
export async function endBrowser(): Promise<void> {
  await browser?.close();
  browser = undefined;
}

/** One visitor: a browser context with its own cookies. */
export interface Visitor {
  page: Page;
  context: BrowserContext;
  /** Errors on the console, uncaught exceptions, and what the content security policy stopped. */
  complaints: string[];
  /**
   * Every request (`GET /tasks/1/frames`), except those for the socket and for the page's own
   * files.
   */
  requests: string[];
  close(): Promise<void>;
}

export interface VisitorOptions {
  viewport?: ViewportSize;
  theme?: "light" | "dark";
}

/** Open an empty browser window. */
export async function newVisitor({ viewport = DESKTOP, theme = "light" }: VisitorOptions = {}): Promise<Visitor> {
  const context = await (
    await startBrowser()
  ).newContext({
    viewport,
    colorScheme: theme,
    hasTouch: viewport.width < 700,
    isMobile: viewport.width < 700,
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("request", (request) => {
    const { pathname, search } = new URL(request.url());
    // The browser decides when it loads the page's own files; the icon may come many seconds after
    // the page.
    if (!pathname.startsWith("/app/static/")) requests.push(`${request.method()} ${pathname}${search}`);
  });
  page.setDefaultTimeout(HANG_MS);
  return { page, context, complaints, requests, close: () => context.close() };
}

/** Sign in as a person does, and wait for the farm. */
export async function signIn({ page }: Visitor, manager: Pick<Manager, "url" | "token">): Promise<void> {
  await page.goto(`${manager.url}/app`);
  await page.getByLabel("Token").fill(manager.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
}

/**
 * Drop files and folders of this machine on an element, as a file manager does. The browser itself
 * reads them.
 */
export async function dropOn({ page, context }: Visitor, selector: string, files: readonly string[]): Promise<void> {
  const box = await page.locator(selector).boundingBox();
  if (!box) throw new Error(`there is no ${selector} to drop on`);
  const session = await context.newCDPSession(page);
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const data = { items: [], files: [...files], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, ...at, data });
  await session.detach();
}

/**
 * Draw a range over the grid of frames with the pointer, from the middle of one cell to the middle
 * of another; cells count from 1.
 */
export async function drawRange({ page }: Visitor, from: number, to: number): Promise<void> {
  const at = await page.locator(".grid").evaluate(
    (grid, cells) => {
      const { layout } = (grid as unknown as { gridView: { layout: { columns: number; pitch: number } } }).gridView;
      const box = grid.querySelector("canvas")!.getBoundingClientRect();
      return cells.map((cell) => ({
        x: box.x + ((cell % layout.columns) + 0.5) * layout.pitch,
        y: box.y + (Math.floor(cell / layout.columns) + 0.5) * layout.pitch,
      }));
    },
    [from - 1, to - 1],
  );
  await page.mouse.move(at[0]!.x, at[0]!.y);
  await page.mouse.down();
  await page.mouse.move(at[1]!.x, at[1]!.y, { steps: 5 });
  await page.mouse.up();
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe-core finds wrong with the page as it is now: `rule: where (why)`. */
export async function violations({ page }: Visitor): Promise<string[]> {
  // Evaluated and not added as a script, because the page's content security policy forbids that,
  // as it must.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  return await page.evaluate(async () => {
    interface Found {
      violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[];
    }
    const { axe } = globalThis as unknown as { axe: { run: (context: Document) => Promise<Found> } };
    const found = await axe.run(document);
    return found.violations.flatMap((rule) =>
      rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")} (${node.failureSummary})`),
    );
  });
}

/** The elements that make the page wider than its window; none when it is not. */
export async function tooWide({ page }: Visitor): Promise<string[]> {
  return await page.evaluate(() => {
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= wide) return [];
    return [...document.querySelectorAll("main *")]
      .filter((element) => element.getBoundingClientRect().right > wide + 1)
      .map((element) => `${element.tagName.toLowerCase()}.${element.className}`);
  });
}

/**
 * CPU milliseconds that the page's main thread has used so far. Other load on the machine does not
 * add to it.
 */
export async function mainThreadMs(page: Page): Promise<number> {
  const chrome = await page.context().newCDPSession(page);
  await chrome.send("Performance.enable", { timeDomain: "threadTicks" });
  const { metrics } = await chrome.send("Performance.getMetrics");
  await chrome.detach();
  return 1_000 * metrics.find(({ name }) => name === "TaskDuration")!.value;
}

/**
 * Milliseconds from the start of the page's load to its first text or picture on the screen; waits
 * until there is one.
 */
export async function firstPaintMs({ page }: Visitor): Promise<number> {
  // The browser reports a paint some time after it, when elements can be found already.
  return await page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        new PerformanceObserver((list) => {
          const [paint] = list.getEntriesByName("first-contentful-paint");
          if (paint) resolve(paint.startTime);
        }).observe({ type: "paint", buffered: true });
      }),
  );
}

/**
 * Start to record what moves on the page by itself. The answer stops that, and returns how much
 * (layout shift) and what moved.
 */
export async function watchShifts({ page }: Visitor): Promise<() => Promise<{ score: number; moved: string[] }>> {
  interface Shift extends PerformanceEntry {
    value: number;
    hadRecentInput: boolean;
    sources: { node: Element | null }[];
  }
  await page.evaluate(() => {
    const shifts = { score: 0, moved: [] as string[] };
    const observer = new PerformanceObserver((list) => {
      for (const shift of list.getEntries() as Shift[]) {
        if (shift.hadRecentInput) continue;
        shifts.score += shift.value;
        shifts.moved.push(...shift.sources.map(({ node }) => `${node?.nodeName ?? "?"}.${node?.className ?? ""}`));
      }
    });
    observer.observe({ type: "layout-shift" });
    Object.assign(globalThis, { shifts });
  });
  return async () =>
    await page.evaluate(() => (globalThis as unknown as { shifts: { score: number; moved: string[] } }).shifts);
}
