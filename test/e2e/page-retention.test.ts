/** Deletion by itself on the page: a rule is shown before it deletes, and can be changed (P14). */
import { afterAll, beforeAll, expect } from "vitest";
import { taskSchema, type Task } from "../../src/protocol/task.ts";
import {
  DESKTOP,
  endBrowser,
  newVisitor,
  PHONE,
  signIn,
  tooWide,
  violations,
  type Visitor,
} from "../support/browser.ts";
import { endFarm, startAgent, startManager, submit, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { hasProgram, testWith } from "../support/programs.ts";
import { until } from "../support/wait.ts";

const browserTest = testWith("chromium");

let manager: Manager;
let admin: Visitor;
let id = 0;

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  await startAgent(manager, { name: "one" });
  id = await submit(
    manager,
    "--type",
    "demo_render",
    "--frames",
    "1-4",
    "--name",
    "shot 12",
    "--settings",
    '{"width":64,"height":36}',
  );
  await untilStatus(manager, id, ["completed"]);
  expect((await tablao(manager, "settings", "set", "retention_days", "30")).code).toBe(0);
  admin = await newVisitor();
  await signIn(admin, manager);
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

const show = async (): Promise<Task> => await manager.client.call(taskSchema, "GET", `/tasks/${id}`);
const open = async ({ page }: Visitor): Promise<void> => void (await page.goto(`${manager.url}/app/tasks/${id}`));

browserTest("P14: the head of a task says when the farm's rule deletes it, in every width and colour", async () => {
  for (const viewport of [DESKTOP, PHONE])
    for (const theme of ["light", "dark"] as const) {
      const visitor = await newVisitor({ viewport, theme });
      await signIn(visitor, manager);
      await open(visitor);
      await visitor.page.getByText(/^This task and its files are deleted after .*, by the farm's rule\.$/).waitFor();
      expect(await tooWide(visitor)).toEqual([]);
      expect(await violations(visitor)).toEqual([]);
      await visitor.page.getByRole("tab", { name: "Settings" }).click();
      await visitor.page.getByLabel("Days after its end").waitFor();
      expect(await tooWide(visitor)).toEqual([]);
      expect(await violations(visitor)).toEqual([]);
      expect(visitor.complaints).toEqual([]);
      await visitor.close();
    }
});

browserTest("P14: the task is asked for its expiry once, not with each message of its socket", async () => {
  const visitor = await newVisitor();
  await signIn(visitor, manager);
  await open(visitor);
  await visitor.page.getByText(/by the farm's rule\.$/).waitFor();
  for (const priority of [51, 52, 53]) {
    await tablao(manager, "priority", String(id), String(priority));
    await until(async () => (await visitor.page.getByLabel("Priority").inputValue()) === String(priority), {
      what: "the page shows the priority",
    });
  }
  expect(visitor.requests.filter((request) => request === `GET /tasks/${id}`)).toHaveLength(1);
  await visitor.close();
});

browserTest("P14: its owner keeps it with a click, and sets and refuses days of its own", async () => {
  const { page } = admin;
  await open(admin);
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.getByText("The task is kept.").waitFor();
  await page.getByText(/by the farm's rule\.$/).waitFor({ state: "detached" });
  expect(await show()).toMatchObject({ retention_days: "forever", expires_ms: null });

  await page.getByRole("tab", { name: "Settings" }).click();
  const days = page.getByLabel("Days after its end");
  await days.fill("0");
  await page.getByText('A whole number of days from 1 to 36500, or "forever".').waitFor();
  await days.fill("90");
  await page.getByLabel("Days after the download").fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(/deleted after .*, by its own rule\.$/).waitFor();
  expect(await show()).toMatchObject({ retention_days: 90, expires_by: "task" });
  expect((await show()).retention_after_download_days).toBeUndefined();
});

browserTest(
  "P14: a zip alone does not count as a download; the person's word does, and so does a folder of all files",
  async () => {
    const { page } = admin;
    await open(admin);
    await page.getByRole("button", { name: "Download all" }).click();
    const coming = page.waitForEvent("download");
    await page.getByRole("link", { name: "As one file" }).click();
    await (await coming).path();
    expect((await show()).downloaded_ms).toBeUndefined();
    await page.getByRole("dialog").getByRole("button", { name: "I have the files" }).click();
    await page.getByText("Noted: you have all files.").waitFor();
    expect((await show()).downloaded_ms).toBeGreaterThan(0);
    await page.getByText(/All files were downloaded on/).waitFor();

    // Rendered again: what was downloaded is not what counts now.
    await tablao(manager, "requeue", String(id), "--frames", "2", "--yes");
    await until(async () => (await show()).status === "completed", { what: "the frame is there again" });
    expect((await show()).downloaded_ms).toBeUndefined();
    await page.reload();
    // A folder of the browser's own stands in for one that a person chooses, because the choice is the browser's window.
    await page.evaluate(() => {
      Object.assign(globalThis, { showDirectoryPicker: async () => await navigator.storage.getDirectory() });
    });
    await page.getByRole("button", { name: "Download all" }).click();
    await page.getByRole("button", { name: "Save into a folder" }).click();
    await page.getByText("4 files saved.").waitFor();
    await until(async () => (await show()).downloaded_ms !== undefined, { what: "the manager knows it" });
  },
);

browserTest(
  "P14: a submission says how long it is kept; what is no number of days is refused at its field",
  async () => {
    const { page } = admin;
    await page.goto(`${manager.url}/app/submit`);
    await page.getByLabel("Type of task").selectOption("print_string");
    await page.getByLabel("Text", { exact: true }).fill("hello");
    await page.getByText("Retention").click();
    const days = page.getByLabel("Days after its end");
    await days.fill("soon");
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    await page.getByText('must be a whole number of days from 1 to 36500, or "forever"').waitFor();
    await days.fill("forever");
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    await page.waitForURL(/\/app\/tasks\/\d+$/);
    const task = Number(page.url().split("/").at(-1));
    expect(await manager.client.call(taskSchema, "GET", `/tasks/${task}`)).toMatchObject({ retention_days: "forever" });
    // The refusal of the first try is a message of the browser, too.
    expect(admin.complaints.filter((line) => !line.includes("422"))).toEqual([]);
  },
);
