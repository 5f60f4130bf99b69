/** Debian's Chromium, opened on a manager's page. Whatever the page complains of while it is open is kept. */
import { existsSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page, type ViewportSize } from "playwright-core";
import { test } from "vitest";
import type { Manager } from "./farm.ts";

const EXECUTABLE = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export const DESKTOP: ViewportSize = { width: 1280, height: 860 };
export const PHONE: ViewportSize = { width: 360, height: 740 };

/** `test` for tests that need a browser: without one they are left out with a message, in CI they fail. */
export function testWithBrowser(): typeof test {
  if (existsSync(EXECUTABLE)) return test;
  if (process.env["CI"] === "true")
    throw new Error(`these tests need Chromium at ${EXECUTABLE}, or where $CHROMIUM says`);
  process.stderr.write(`left out: tests that need Chromium at ${EXECUTABLE}, or where $CHROMIUM says\n`);
  return test.skip as typeof test;
}

let browser: Browser | undefined;

/** The browser of this file's tests, started once. */
export async function startBrowser(): Promise<Browser> {
  browser ??= await chromium.launch({
    executablePath: EXECUTABLE,
    // Chromium's sandbox does not start as root, which containers are.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  return browser;
}

/** For `afterAll`, before the farm ends. */
export async function endBrowser(): Promise<void> {
  await browser?.close();
  browser = undefined;
}

/** One visitor: a browser context of its own, so cookies of its own. */
export interface Visitor {
  page: Page;
  context: BrowserContext;
  /** Errors on the console, uncaught exceptions, and what the content security policy stopped. */
  complaints: string[];
  /** Every request but the socket's: `GET /tasks/1/frames`. */
  requests: string[];
  close(): Promise<void>;
}

export interface VisitorOptions {
  viewport?: ViewportSize;
  theme?: "light" | "dark";
}

/** Open a browser window on nothing yet. */
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
    requests.push(`${request.method()} ${pathname}${search}`);
  });
  page.setDefaultTimeout(20_000);
  return { page, context, complaints, requests, close: () => context.close() };
}

/** Sign in as a person does, and wait for the farm. */
export async function signIn({ page }: Visitor, manager: Pick<Manager, "url" | "token">): Promise<void> {
  await page.goto(`${manager.url}/app`);
  await page.getByLabel("Token").fill(manager.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
}

/** Drop files and folders of this machine on an element, as a file manager does: the browser itself reads them. */
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
