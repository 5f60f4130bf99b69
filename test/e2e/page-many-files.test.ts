/**
 * A task with more files than one archive takes (MAX_ARCHIVE_READS): the command line fetches all of
 * them, the page offers several archives, and a request for one archive of all says what to ask for.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect } from "vitest";
import { MAX_ARCHIVE_READS } from "../../src/protocol/archive.ts";
import { problemSchema } from "../../src/protocol/problem-schema.ts";
import { readerOf, readZip } from "../support/archive-readers.ts";
import { endBrowser, newVisitor, signIn } from "../support/browser.ts";
import { endFarm, startAgent, startManager, submit, tablao, untilStatus } from "../support/farm.ts";
import { testFolder } from "../support/folders.ts";
import { testWith } from "../support/programs.ts";

afterAll(async () => {
  await endBrowser();
  await endFarm();
});

const FRAMES = 2_000;
/** Only ends a hang. */
const WITHIN_MS = 600_000;

/** Writes a small file for each of the frames; no two are the same. */
const SMALL = `
const fs = require("node:fs"), path = require("node:path");
const [out, last] = process.argv.slice(1);
for (let frame = 1; frame <= Number(last); frame++)
  fs.writeFileSync(path.join(path.dirname(out), "small_" + String(frame).padStart(4, "0") + ".txt"), "file " + frame);`;

const nameOf = (frame: number): string => `small_${String(frame).padStart(4, "0")}.txt`;
const NAMES = Array.from({ length: FRAMES }, (_, i) => nameOf(i + 1));

testWith("chromium")(
  "a task of 2,000 files is fetched whole by the command line, and offered by the page as archives that hold each file once",
  async () => {
    const manager = await startManager();
    await startAgent(manager, { name: "small", args: ["--allow-exec"] });
    const args = ["-e", SMALL, "{out:small}", String(FRAMES)];
    const settings = { program: process.execPath, args, frames: `1-${FRAMES}`, outputs: "small_####.txt" };
    const chunk = ["--chunk", String(FRAMES)];
    const id = await submit(manager, "--type", "exec", "--settings", JSON.stringify(settings), ...chunk);
    expect(await untilStatus(manager, id, ["completed", "failed"], WITHIN_MS)).toMatchObject({ status: "completed" });

    const to = path.join(testFolder("many-files"), "frames");
    const downloaded = await tablao(manager, "download", String(id), to);
    expect(downloaded, downloaded.stderr).toMatchObject({ code: 0 });
    expect(downloaded.stdout).toContain(`${FRAMES} of ${FRAMES} frames there and verified`);
    expect(readdirSync(to).toSorted()).toEqual(NAMES);
    for (const [i, name] of NAMES.entries()) expect(readFileSync(path.join(to, name), "utf8")).toBe(`file ${i + 1}`);

    const headers = { authorization: `Bearer ${manager.token}` };
    const whole = await fetch(`${manager.url}/tasks/${id}/zip`, { headers });
    const { detail } = problemSchema.parse(await whole.json());
    expect([whole.status, detail]).toEqual([422, expect.stringContaining(`?frames=1-${MAX_ARCHIVE_READS}`)]);

    const visitor = await newVisitor();
    await signIn(visitor, manager);
    const { page } = visitor;
    await page.goto(`${manager.url}/app/tasks/${id}`);
    await page.getByRole("button", { name: "Download all", exact: true }).click();
    await page.getByText("it comes in 3 archives").waitFor();
    const addresses = await page
      .locator(".archives a")
      .evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href));
    expect(addresses).toHaveLength(3);
    const found: string[] = [];
    for (const address of addresses) {
      const answer = await fetch(address, { headers });
      expect(answer.status).toBe(200);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      for (const { path: name, at, size } of readZip(bytes.length, readerOf(bytes)).files) {
        found.push(name);
        expect(new TextDecoder().decode(bytes.subarray(at, at + size))).toBe(`file ${NAMES.indexOf(name) + 1}`);
      }
    }
    expect(found).toEqual(NAMES);
    expect(visitor.complaints).toEqual([]);
  },
  2 * WITHIN_MS,
);
