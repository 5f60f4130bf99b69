/** What an admin does to workers on the page: to several in the list, and to one in its own view. */
import { afterAll, beforeAll, expect } from "vitest";
import { workersSchema, type Worker } from "../../src/protocol/worker.ts";
import { endBrowser, newVisitor, PHONE, signIn, tooWide, violations, type Visitor } from "../support/browser.ts";
import {
  endFarm,
  startAgent,
  startManager,
  submit,
  tablao,
  taskOf,
  type Agent,
  type Manager,
} from "../support/farm.ts";
import { hasProgram, testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

const browserTest = testWith("chromium");

let manager: Manager;
let agent: Agent;
let admin: Visitor;

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  for (const name of ["idle-1", "idle-2"]) await startAgent(manager, { name, args: ["--tags", "old"] });
  agent = await startAgent(manager, { name: "busy", args: ["--tags", "left"] });
  admin = await newVisitor();
  await signIn(admin, manager);
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

/** The workers by their names. */
async function workers(): Promise<Record<string, Worker>> {
  const listed = Object.values(await manager.client.call(workersSchema, "GET", "/workers"));
  return Object.fromEntries(listed.map((worker) => [worker.name, worker]));
}

const shown = async (name: string, state: string): Promise<void> =>
  await admin.page
    .getByRole("row", { name: new RegExp(name) })
    .getByText(state, { exact: true })
    .waitFor();
const select = async (name: string): Promise<void> =>
  await admin.page.getByRole("checkbox", { name: `Select ${name}` }).check();
const press = async (name: string): Promise<void> =>
  await admin.page.getByRole("button", { name, exact: true }).click();

browserTest(
  "several workers are drained, enabled and tagged; a question comes before they are stopped or removed",
  async () => {
    const { page } = admin;
    await page.goto(`${manager.url}/app`);
    await press("Select");
    const bar = page.getByRole("group", { name: "Selected workers" });
    expect(await bar.getByRole("button", { name: "Drain" }).isDisabled()).toBe(true);
    expect(await violations(admin)).toEqual([]);
    await select("idle-1");
    await select("idle-2");
    await bar.getByText("2 selected").waitFor();
    await press("Drain");
    await shown("idle-1", "Drained");
    await shown("idle-2", "Drained");
    expect(await workers()).toMatchObject({ "idle-1": { draining: true }, "idle-2": { draining: true } });
    await press("Enable");
    await shown("idle-1", "Idle");
    await press("Tags");
    await page.getByLabel("Add").fill("gpu, big");
    await page.getByLabel("Take away").fill("old");
    await press("Save");
    await shown("idle-1", "gpu, big");
    expect(await workers()).toMatchObject({ "idle-2": { tags: ["gpu", "big"], chosen: ["tags"] } });
    // Only what is listed is changed.
    await page.getByPlaceholder("Find a worker").fill("idle-1");
    await bar.getByText("1 selected").waitFor();
    await page.getByPlaceholder("Find a worker").fill("");

    const id = await submit(
      manager,
      "--type",
      "demo_render",
      "--frames",
      "1",
      "--tags",
      "left",
      "--settings",
      JSON.stringify({ width: 8, height: 8, samples: 1, delay_ms: 600_000 }),
    );
    await shown("busy", "Rendering");
    await bar.getByRole("checkbox").check();
    await bar.getByText("3 selected").waitFor();
    await press("Stop now");
    await page.getByRole("dialog").getByText("these 3 workers").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect(await taskOf(manager, id)).toMatchObject({ frames: { leased: 1 } });
    await press("Stop now");
    await page.getByRole("dialog").getByRole("button", { name: "Stop now" }).click();
    await shown("busy", "Drained");
    expect(await taskOf(manager, id)).toMatchObject({ frames: { leased: 0, pending: 1 } });
    expect(await bar.getByRole("button", { name: "Remove offline" }).isDisabled()).toBe(true);
    await press("Enable");
    await shown("busy", "Rendering");
    await press("Done");
    await bar.waitFor({ state: "detached" });
    expect(admin.complaints).toEqual([]);
  },
);

browserTest(
  "a worker's view stops it, says a pause at its machine, and gives name and tags back to its agent",
  async () => {
    const { page } = admin;
    await page.goto(`${manager.url}/app/workers/${agent.id}`);
    await press("Stop now");
    await page.getByRole("dialog").getByRole("button", { name: "Stop now" }).click();
    await page.locator(".head").getByText("Drained", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Stop now" }).waitFor({ state: "detached" });
    expect(await tablao({}, "worker", "pause", "--state-dir", agent.stateDir)).toMatchObject({ code: 0 });
    await page.getByText("Somebody at this machine has paused its agent").waitFor();
    await press("Enable");
    await page.locator(".head").getByText("Paused", { exact: true }).waitFor();
    await press("Edit");
    await page.getByRole("dialog").getByLabel("Name").fill("the busy one");
    await press("Save");
    await page.getByRole("heading", { name: "the busy one" }).waitFor();
    expect(Object.values(await workers()).find(({ id }) => id === agent.id)).toMatchObject({
      name: "the busy one",
      tags: ["left"],
      chosen: ["name"],
    });
    await press("Edit");
    await press("As the agent reports");
    await page.getByRole("heading", { name: "busy", exact: true }).waitFor();
    expect(await violations(admin)).toEqual([]);
    await tablao({}, "worker", "resume", "--state-dir", agent.stateDir);
    await page.getByText("Somebody at this machine").waitFor({ state: "detached" });
    expect(admin.complaints).toEqual([]);
  },
);

browserTest("the bar fits a phone; who is no admin has none; workers that are offline are removed", async () => {
  const phone = await newVisitor({ viewport: PHONE });
  await signIn(phone, manager);
  await phone.page.goto(`${manager.url}/app`);
  await phone.page.getByRole("button", { name: "Select", exact: true }).click();
  await phone.page.getByRole("checkbox", { name: "Select idle-1" }).check();
  expect(await tooWide(phone)).toEqual([]);
  expect(await violations(phone)).toEqual([]);
  await agent.stop();
  await phone.page.getByRole("row", { name: /busy/ }).getByText("Offline").waitFor();
  await phone.page.getByRole("checkbox", { name: "Select busy" }).check();
  await phone.page.getByRole("button", { name: "Remove 1 offline" }).click();
  await phone.page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await until(async () => !("busy" in (await workers())) && Object.keys(await workers()).length === 2, {
    what: "the one that is offline is removed, and no other",
  });
  await phone.close();
  const { stdout } = await tablao(manager, "token", "create", "--role", "viewer", "--name", "wall", "--json");
  const viewer = await newVisitor();
  await signIn(viewer, { url: manager.url, token: (JSON.parse(stdout) as { token: string }).token });
  await viewer.page.goto(`${manager.url}/app`);
  await viewer.page.getByRole("table", { name: "Workers" }).waitFor();
  expect(await viewer.page.getByRole("button", { name: "Select", exact: true }).count()).toBe(0);
  await viewer.close();
});
