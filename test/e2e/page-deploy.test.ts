/**
 * An open page while the manager is deployed anew, or cannot go on: a browser gets the answers that
 * Cloudflare would give.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { endBrowser, newVisitor, signIn, violations, type Visitor } from "../support/browser.ts";
import { endFarm, startManager, type Manager } from "../support/farm.ts";
import { hasProgram, testWith } from "../support/programs.ts";

const browserTest = testWith("chromium");

let manager: Manager;
let visitor: Visitor;
beforeAll(async () => {
  if (hasProgram("chromium")) manager = await startManager();
});
beforeEach(async () => {
  if (!hasProgram("chromium")) return;
  visitor = await newVisitor();
  await signIn(visitor, manager);
});
afterEach(async () => {
  await visitor?.close();
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
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
