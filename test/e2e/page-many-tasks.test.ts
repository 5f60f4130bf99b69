/** The page on a farm with more tasks than its live view holds, and while tasks change. */
import { afterAll, beforeAll, expect } from "vitest";
import { mapConcurrent } from "../../src/lib/concurrency.ts";
import { LIVE_ENDED_TASKS } from "../../src/protocol/live.ts";
import { taskSchema } from "../../src/protocol/task.ts";
import { endBrowser, newVisitor, signIn, violations, type Visitor } from "../support/browser.ts";
import { endFarm, startManager, tablao, type Manager } from "../support/farm.ts";
import { hasProgram, testWith } from "../support/programs.ts";

const browserTest = testWith("chromium");

let manager: Manager;
let visitor: Visitor;

const newTask = async (name: string): Promise<number> => {
  const json = { type: "print_string", settings: { text: "x", frames: "1" }, paused: true, name };
  return (await manager.client.call(taskSchema, "POST", "/tasks", { json })).id;
};
const change = async (id: number, json: object): Promise<void> => {
  await manager.client.send("PATCH", `/tasks/${id}`, { json });
};

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  // The oldest number ends last, and the next one first.
  const [last, first] = [await newTask("ended last"), await newTask("zebra ended first")];
  await change(first, { status: "cancel" });
  await mapConcurrent(Array.from({ length: LIVE_ENDED_TASKS }), 8, async (_, index) => {
    await change(await newTask(`shot ${index}`), { status: "cancel" });
  });
  await newTask("open");
  await change(last, { status: "cancel" });
  visitor = await newVisitor();
  await signIn(visitor, manager);
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

browserTest("every ended task is found, the list is in the order of the end, and says where it is cut", async () => {
  const { page } = visitor;
  const table = page.getByRole("table", { name: "Tasks" });
  await page.getByRole("button", { name: "Ended" }).click();
  await table.getByRole("row").nth(1).getByRole("link", { name: "ended last" }).waitFor();
  await page.getByText("Tasks that ended earlier are not listed.").waitFor();
  expect(await violations(visitor)).toEqual([]);
  const search = page.getByLabel("Find a task");
  await search.fill("ZEBRA canceled");
  await table.getByRole("link", { name: "zebra ended first" }).waitFor();
  await search.fill("no such task");
  await page.getByText("Nothing matches.").waitFor();
  // A new snapshot drops what was found before.
  await page.reload();
  await page.getByRole("button", { name: "Ended" }).click();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("Tasks that ended earlier are not listed.").waitFor({ state: "detached" });
  await page.keyboard.press("End");
  await table.getByRole("link", { name: "zebra ended first" }).waitFor();
  const { stdout } = await tablao(manager, "tasks", "--search", "zebra CANCELED");
  expect(stdout).toContain("zebra ended first");
  expect(stdout).not.toContain("shot");
  const none = await tablao(manager, "tasks", "--search", "no such task");
  expect(none.stderr).toContain("no task matches");
  expect(visitor.complaints).toEqual([]);
});

browserTest("the fields of the history keep what is typed while tasks change", async () => {
  const { page } = visitor;
  await page.goto(`${manager.url}/app/history`);
  const id = await newTask("changes");
  const field = page.getByLabel("Task", { exact: true });
  await field.focus();
  let priority = 50;
  for (const letter of "KITE_v11") {
    await page.keyboard.type(letter);
    await change(id, { priority: ++priority });
    // The change has arrived: it is in the state that all views share, and has drawn them anew.
    await page.locator(`#known-task_id option[value="${id}"]`).waitFor({ state: "attached" });
  }
  // The last deltas come within a second; what follows waits for one of them.
  await newTask("seen last");
  await page.locator("#known-task_id option", { hasText: "seen last" }).waitFor({ state: "attached" });
  expect(await field.inputValue()).toBe("KITE_v11");
  await field.press("Enter");
  await page.waitForURL(/task_id=KITE_v11/);
  expect(await field.inputValue()).toBe("KITE_v11");
});
