/**
 * The page over plain http from another address than localhost, as artists of a studio open the manager of a
 * workstation: browsers then leave out what they offer in secure contexts only. And views that throw.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { endBrowser, newVisitor, PLAIN_HOST, signIn, violations, type Visitor } from "../support/browser.ts";
import { testScene } from "../support/test-scene.ts";
import { endFarm, startAgent, startManager, submit, untilStatus, type Manager } from "../support/farm.ts";
import { hasProgram, testWith } from "../support/programs.ts";

const browserTest = testWith("chromium");

let manager: Manager;
/** The manager as another machine of the network sees it. */
let plain: Pick<Manager, "url" | "token">;
let visitor: Visitor;

beforeAll(async () => {
  if (!hasProgram("chromium")) return;
  manager = await startManager();
  plain = { url: `http://${PLAIN_HOST}:${manager.port}`, token: manager.token };
  visitor = await newVisitor();
  await signIn(visitor, plain);
  expect(await visitor.page.evaluate(() => isSecureContext)).toBe(false);
});
afterAll(async () => {
  await endBrowser();
  await endFarm();
});

/** Without the browser's notices that a header counts in secure contexts only. */
function complaintsOf({ complaints }: Visitor): string[] {
  return complaints.filter((words) => !words.includes("Cross-Origin-Opener-Policy header has been ignored"));
}

browserTest("over plain http a task with files is submitted on the page", async () => {
  const { page } = visitor;
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  await page.getByLabel("Type of task").selectOption("blender_render");
  await page
    .locator("input[type=file]")
    .first()
    .setInputFiles({ name: "shot.blend", mimeType: "application/octet-stream", buffer: testScene() });
  await page.getByText("Blender 4.5 · scene “Scene” · frames 1-10").waitFor();
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.getByRole("heading", { name: "shot" }).waitFor();
  await page.getByRole("button", { name: "Cancel task" }).waitFor();
  expect(complaintsOf(visitor)).toEqual([]);
});

browserTest("over plain http a command is copied, or is selected for the viewer to copy", async () => {
  const { page } = visitor;
  await page.goto(`${plain.url}/app/manage`);
  await page.getByRole("button", { name: "Make a join line" }).click();
  const command = await page.getByLabel("Linux and macOS", { exact: true }).innerText();
  await page.getByRole("button", { name: "Copy: Linux and macOS" }).click();
  await page.getByText("Copied").waitFor();
  expect(await pasted(visitor)).toBe(command);
  // A browser that refuses to copy at all.
  await page.evaluate(() => {
    document.execCommand = () => false;
    getSelection()!.removeAllRanges();
  });
  await page.getByRole("button", { name: "Copy: Linux and macOS" }).click();
  await page.getByText("The text is selected").waitFor();
  expect(await page.evaluate(() => getSelection()!.toString())).toBe(command);
  expect(complaintsOf(visitor)).toEqual([]);
});

/** What the clipboard holds, by pasting it into a field. */
async function pasted({ page }: Visitor): Promise<string> {
  await page.evaluate(() => document.body.insertAdjacentHTML("beforeend", "<textarea id=paste aria-label=paste>"));
  const field = page.locator("#paste");
  await field.focus();
  await page.keyboard.press("Control+V");
  const text = await field.inputValue();
  await field.evaluate((element) => element.remove());
  return text;
}

browserTest("over plain http the download says why it cannot save into a folder, and offers the archive", async () => {
  const { page } = visitor;
  const agent = await startAgent(manager);
  const demo = ["--type", "demo_render", "--settings", '{"width":32,"height":18,"samples":1}'];
  const id = await submit(manager, ...demo, "--frames", "1-2");
  await untilStatus(manager, id, ["completed"]);
  await agent.stop();
  await page.goto(`${plain.url}/app/tasks/${id}`);
  await page.getByRole("button", { name: "Download all" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("over https or on localhost only").waitFor();
  const download = page.waitForEvent("download");
  await dialog.getByRole("link", { name: "As one file" }).click();
  expect((await download).suggestedFilename()).toMatch(/\.zip$/);
  expect(complaintsOf(visitor)).toEqual([]);
});

/** The views that are scripts of their own, by a part of the script's name: where, and what the script exports. */
const VIEWS = {
  worker: ["/app/workers/1", "WorkerView"],
  submit: ["/app/submit", "Submit"],
  history: ["/app/history", "History"],
  manage: ["/app/manage", "Manage"],
  share: ["/app/share#x.y", "ShareView"],
} as const;

browserTest("a view that throws says what happened, and the rest of the page goes on", async () => {
  const broken = await newVisitor();
  const { page } = broken;
  const id = await submit(manager, "--type", "print_string", "--settings", '{"text":"x"}', "--frames", "1", "--paused");
  await signIn(broken, manager);
  const alert = page.getByRole("alert").filter({ hasText: "This view has stopped" });
  for (const [script, [address, view]] of Object.entries(VIEWS)) {
    await page.route(new RegExp(`/app/static/${script}-.{8}\\.js$`), async (route) => {
      const body = `export function ${view}() { throw new Error("${script} broke"); }`;
      await route.fulfill({ contentType: "text/javascript", body });
    });
    await page.goto(manager.url + address);
    await alert.getByText(`${script} broke`).waitFor();
    await alert.getByRole("button", { name: "Load the page again" }).waitFor();
    expect(await violations(broken), script).toEqual([]);
  }
  // The way back: by the navigation, too, once the view is another one.
  await page.goto(`${manager.url}/app/submit`);
  await alert.waitFor();
  await alert.getByRole("link", { name: "Go to the farm" }).click();
  await page.getByRole("table", { name: "Tasks" }).waitFor();
  expect(await alert.count()).toBe(0);
  // Views that have begun: what the manager tells is not what they expect.
  await page.routeWebSocket(/\/live(\?|$)/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((text) => {
      if (text === "pong") return socket.send(text);
      const message = JSON.parse(String(text)) as { tasks?: object[]; task?: object };
      message.tasks = message.tasks?.map((task) => ({ ...task, frames: null }));
      if (message.task) message.task = { ...message.task, frames: null };
      socket.send(JSON.stringify(message));
    });
  });
  for (const address of ["/app", `/app/tasks/${id}`]) {
    await page.goto(manager.url + address);
    await alert.waitFor();
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "History" }).waitFor();
  }
  await broken.close();
  // The frame around all views.
  const nobody = await newVisitor();
  await nobody.page.addInitScript(() => {
    Object.defineProperty(document, "title", {
      set: () => {
        throw new Error("no title");
      },
    });
  });
  await nobody.page.goto(`${manager.url}/app`);
  await nobody.page.getByRole("alert").getByText("no title").waitFor();
  await nobody.close();
});
