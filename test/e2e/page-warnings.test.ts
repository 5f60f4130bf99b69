/** P12: what a renderer warned of is shown of a completed task: by the command line, as JSON, and on the page. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { DESKTOP, endBrowser, newVisitor, PHONE, signIn, tooWide, violations } from "../support/browser.ts";
import { endFarm, startAgent, startManager, tablao, taskOf, type Manager } from "../support/farm.ts";
import { testWith } from "../support/programs.ts";

let manager: Manager;

beforeAll(async () => {
  manager = await startManager();
  await startAgent(manager, { name: "renderer", args: ["--allow-exec"] });
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

const LONG = `the rig of ${"Anastasia".repeat(9)} is off`;
/** Warns of all frames, and of frame 2 alone with characters that a terminal would act on. */
const PROGRAM = `
  console.log("tablao: warning: ${LONG}");
  console.log("tablao: frame 1");
  console.log("tablao: done 1");
  console.log("tablao: frame 2");
  console.log("tablao: warning: \\u001b[2J\\u202e'a.png' is dark");
  console.log("tablao: done 2");`;
const SETTINGS = JSON.stringify({ program: process.execPath, args: ["-e", PROGRAM], frames: "1-2" });

const submitAndWait = async (...more: string[]) =>
  await tablao(manager, "submit", "--type", "exec", "--settings", SETTINGS, "--chunk", "2", "--wait", ...more);

test("P12: warnings of a completed task are told at its end, by `task`, counted by `tasks`, and in JSON", async () => {
  const { code, stdout, stderr } = await submitAndWait();
  expect(code).toBe(0);
  expect(stdout).toMatch(/^task 1 completed: 2 frames/m);
  expect(stderr).toContain(`warning: 2 frames, first 1: ${LONG}\n`);
  expect(stderr).toContain("warning: 1 frame (2): [2J'a.png' is dark\n");

  expect((await taskOf(manager, 1)).warnings).toEqual([
    { text: LONG, frames: 2, first_frame: 1 },
    { text: "[2J'a.png' is dark", frames: 1, first_frame: 2 },
  ]);
  const shown = await tablao(manager, "task", "1");
  expect(shown.stdout).toContain(`  warning   2 frames, first 1: ${LONG}\n`);
  expect((await tablao(manager, "tasks")).stdout).toMatch(/completed +2\/2 \(2 warnings\)/);
  expect((await tablao(manager, "task", "1", "--json")).json()).toMatchObject({
    warning_count: 2,
    warnings: [{ frames: 2 }, { frames: 1 }],
  });
  const json = await submitAndWait("--json");
  expect(json.json()).toMatchObject({ status: "completed", warnings: [{ text: LONG }, { frames: 1 }] });
});

testWith("chromium")(
  "P12: the page shows them at the task and at each of its frames, wide and on a phone",
  async () => {
    for (const [name, options] of Object.entries({
      light: { viewport: DESKTOP, theme: "light" as const },
      dark: { viewport: DESKTOP, theme: "dark" as const },
      phone: { viewport: PHONE, theme: "light" as const },
      "phone-dark": { viewport: PHONE, theme: "dark" as const },
    })) {
      const visitor = await newVisitor(options);
      const { page } = visitor;
      await signIn(visitor, manager);
      await page.goto(`${manager.url}/app/tasks/1`);
      const head = page.locator(".note.warnings").first();
      await head.getByText("2 warnings").waitFor();
      await head.getByText(`${LONG} 2 frames, first 1`).waitFor();
      await head.getByText("[2J'a.png' is dark frame 2").waitFor();
      await page.locator(".frame-panel .note.warnings").getByText(LONG).waitFor();
      expect(await tooWide(visitor), name).toEqual([]);
      expect(await violations(visitor), name).toEqual([]);
      await visitor.close();
    }
  },
);
