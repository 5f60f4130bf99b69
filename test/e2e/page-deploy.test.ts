/**
 * An open page while the manager is deployed anew, or cannot go on: a browser gets the answers that
 * Cloudflare would give.
 */
import type { Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { endBrowser, newVisitor, signIn, violations, type Visitor } from "../support/browser.ts";
import { endFarm, startManager, type Manager } from "../support/farm.ts";
import { hasProgram, testWith } from "../support/programs.ts";

const browserTest = testWith("chromium");

let manager: Manager;
let visitor: Visitor;
/** How often the page was loaded as a whole. */
let loads: number;

beforeAll(async () => {
  if (hasProgram("chromium")) manager = await startManager();
});
beforeEach(async () => {
  if (!hasProgram("chromium")) return;
  visitor = await newVisitor();
  loads = 0;
  visitor.page.on("request", (request) => {
    if (request.isNavigationRequest()) loads++;
  });
  await signIn(visitor, manager);
  loads = 0;
});
afterEach(async () => {
  await visitor?.close();
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

/** The script of the view of the history is gone until the page was loaded again so many times. */
async function withoutView(untilLoads: number): Promise<void> {
  await visitor.page.route(/\/app\/static\/history-[\w-]+\.js$/, async (route) => {
    if (loads < untilLoads) await route.fulfill({ status: 404, body: "" });
    else await route.fallback();
  });
}

/** What the page is told when it asks which version is served; its own loads get the real page. */
async function serving(answer: (route: Route) => Promise<void>): Promise<void> {
  await visitor.page.route(`${manager.url}/app`, async (route) => {
    if (route.request().resourceType() === "fetch") await answer(route);
    else await route.fallback();
  });
}

async function anotherVersion(route: Route): Promise<void> {
  const html = await (await route.fetch()).text();
  await route.fulfill({
    contentType: "text/html",
    body: html.replace(/(\/app\/static\/)[^"]+\.js/, "$1index-next.js"),
  });
}

browserTest(
  "a view whose script went with a deploy is shown after the page has loaded itself again, once",
  async () => {
    const { page } = visitor;
    await withoutView(1);
    await serving(anotherVersion);
    await page.getByRole("link", { name: "History" }).click();
    await page.getByRole("heading", { name: "History" }).waitFor();
    expect(loads).toBe(1);
  },
);

browserTest("a script that stays away does not load the page for ever: it says what to do", async () => {
  const { page } = visitor;
  await withoutView(Infinity);
  await serving(anotherVersion);
  await page.getByRole("link", { name: "History" }).click();
  await page.getByText("A newer version of this page has been deployed.").waitFor();
  expect(loads).toBe(1);
  expect(await violations(visitor)).toEqual([]);
  const again = page.waitForEvent("load");
  await page.getByRole("button", { name: "Load the page again" }).click();
  await again;
});

browserTest("a script that fails while no other version is served loads nothing again", async () => {
  const { page } = visitor;
  await withoutView(Infinity);
  await page.getByRole("link", { name: "History" }).click();
  await page.getByRole("button", { name: "Load the page again" }).waitFor();
  expect(loads).toBe(0);
});

browserTest("P13: a used-up quota is on the page until it is put away or starts anew", async () => {
  const { page } = visitor;
  const detail =
    "Today's quota of Cloudflare's free plan is used up (Durable Objects: rows written). It starts anew at 00:00 UTC.";
  await page.route(`${manager.url}/settings`, async (route) => {
    const problem = { type: "/problems/quota_exceeded", title: "", status: 503, code: "quota_exceeded", detail };
    const headers = { "Content-Type": "application/problem+json", "Retry-After": "3600" };
    await route.fulfill({ status: 503, headers, body: JSON.stringify(problem) });
  });
  await page.getByRole("link", { name: "Manage" }).click();
  await page.getByRole("tab", { name: "Settings" }).click();
  const banner = page.getByRole("alert").filter({ hasText: detail });
  await banner.waitFor();
  await page.getByRole("link", { name: "Farm" }).click();
  expect(await banner.count()).toBe(1);
  expect(await violations(visitor)).toEqual([]);
  await banner.getByRole("button", { name: "Dismiss" }).click();
  expect(await banner.count()).toBe(0);
});
