/**
 * The page behind something that answers in the manager's place for a while: nobody is signed out,
 * no task and no link is called gone, and the page goes on when it is over.
 */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { endBrowser, newVisitor, signIn } from "../support/browser.ts";
import { startEdgeProxy, type EdgeProxy } from "../support/edge-proxy.ts";
import { endFarm, startManager, submit, tablao, type Manager } from "../support/farm.ts";
import type { ForeignName } from "../support/foreign-answers.ts";
import { hasProgram, testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

const browserTest = testWith("chromium");

let manager: Manager;
let edge: EdgeProxy;
/** What every call gets now, but for the page's own files. */
let between: ForeignName | undefined;

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  edge = await startEdgeProxy(manager.url, ({ path }) =>
    between === undefined || path.startsWith("/app") ? undefined : { answer: between },
  );
});
afterEach(() => {
  between = undefined;
});
afterAll(async () => {
  await endBrowser();
  await edge?.close();
  await endFarm();
});

async function pausedTask(): Promise<number> {
  const settings = '{"text": "x"}';
  return await submit(manager, "--type", "print_string", "--settings", settings, "--frames", "1-3", "--paused");
}

browserTest("a page that is watched reconnects; nobody is signed out, and the task is not called removed", async () => {
  const visitor = await newVisitor();
  const { page } = visitor;
  await signIn(visitor, { url: edge.url, token: manager.token });
  const id = await pausedTask();
  await page.goto(`${edge.url}/app/tasks/${id}`);
  const grid = page.locator(".grid");
  await grid.waitFor();
  const live = page.getByRole("status").filter({ hasText: "Live" });
  for (const name of ["401 page", "403 page of a firewall", "404 page of a route that is switched off"] as const) {
    await live.waitFor();
    between = name;
    const before = edge.met.length;
    edge.cutSockets();
    // A socket that is refused makes the page ask why: that answer is not the manager's, either.
    const asked = (path: RegExp): boolean =>
      edge.met.slice(before).some((call) => call.method === "GET" && path.test(call.path));
    await until(() => asked(/^\/auth\/session$/) && asked(/^\/tasks\/\d+$/), { what: `the page met the ${name}` });
    await page.getByText("Reconnecting").first().waitFor();
    expect(await page.getByLabel("Token").count()).toBe(0);
    expect(await page.getByText("This task has been removed").count()).toBe(0);
    expect(await grid.count()).toBe(1);
    between = undefined;
  }
  await live.waitFor();
  await visitor.close();
});

browserTest("a page that is opened says what stands between, and goes on after it", async () => {
  const visitor = await newVisitor();
  const { page } = visitor;
  await signIn(visitor, { url: edge.url, token: manager.token });
  between = "401 page";
  await page.reload();
  await page.getByText("Something between this page and the manager answered 401 with HTML").waitFor();
  between = undefined;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
  await visitor.close();
});

browserTest("a share link behind such a page is not called invalid", async () => {
  const id = await pausedTask();
  const { stdout } = await tablao(manager, "share", String(id));
  const link = /http\S+/.exec(stdout)![0].replace(manager.url, edge.url);
  const guest = await newVisitor();
  between = "403 page of a firewall";
  await guest.page.goto(link);
  await guest.page.getByText("answered 403 with HTML").waitFor();
  expect(await guest.page.getByText("This link is not valid").count()).toBe(0);
  between = undefined;
  await guest.page.getByRole("button", { name: "Try again" }).click();
  await guest.page.getByText("Shared, view only").waitFor();
  await guest.page.locator(".grid").waitFor();
  await guest.close();
});
