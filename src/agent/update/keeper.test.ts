import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/folders.ts";
import { until } from "../../../test/support/wait.ts";
import { programFileName } from "../../protocol/program.ts";
import { keep } from "./keeper.ts";
import { ProgramFolder } from "./program-folder.ts";

let folder: ReturnType<typeof temporaryFolder>;
let said: string[];
let signals: EventEmitter;
beforeEach(() => {
  folder = temporaryFolder("program");
  [said, signals] = [[], new EventEmitter()];
});
afterEach(() => folder.remove());

/** Write a program that runs these statements; answers with its file's name. `send` tells the keeper. */
function program(text: string): string {
  const source = `const send = (m) => new Promise((done) => process.send(m, done));\n${text}\n`;
  const name = programFileName(hashOf(source));
  writeFileSync(path.join(folder.path, name), source);
  return name;
}

const hashOf = (source: string): string => createHash("sha256").update(source).digest("hex");
const read = (name: string): string => readFileSync(path.join(folder.path, name), "utf8").trim();

/** Runs until it is told to end. */
const WAITS = `process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1e6);`;

function start(own: string, times: { comesUpMs?: number; settlesMs?: number } = {}): Promise<number> {
  writeFileSync(path.join(folder.path, "current"), `${own}\n`);
  const found = ProgramFolder.of(path.join(folder.path, own))!;
  return keep({
    folder: found,
    own,
    start: (file) => spawn(process.execPath, [file], { stdio: ["ignore", "ignore", "inherit", "ipc"] }),
    signals,
    childGetsSignals: false,
    log: (line) => said.push(line),
    ...times,
  });
}

/** Fetches `next`, and ends as an agent does whose frames are finished. */
const fetches = (next: string): string =>
  `await send({ type: "called" }); await send({ type: "update", file: "${next}" }); process.exit(0);`;

test("a program that ends by itself ends the keeper with its code", async () => {
  expect(await start(program("process.exit(3);"))).toBe(3);
  expect(said).toEqual([]);
});

test("a new program is started in the place of the one that fetched it, and is the current one when it has settled", async () => {
  const next = program(`${WAITS} await send({ type: "called" }); await send({ type: "proven" });`);
  const own = program(fetches(next));
  const ended = start(own);
  await until(() => read("current") === next, { what: "the new program is the current one" });
  signals.emit("SIGTERM");
  expect(await ended).toBe(0);
  expect(said).toEqual([`starting the new program ${next}`]);
});

test("before it has settled, the next start is that of the program that worked", async () => {
  const next = program(`${WAITS} await send({ type: "called" });`);
  const own = program(fetches(next));
  const ended = start(own);
  await until(() => said.length > 0, { what: "the new program is started" });
  signals.emit("SIGTERM");
  await ended;
  expect(read("current")).toBe(own);
});

const BAD: [string, string, RegExp][] = [
  ["stops at once", "process.exit(1);", /did not come up: going back/],
  ["cannot even be read", "this is no program", /did not come up: going back/],
  ["never calls the manager", "setInterval(() => {}, 1e6);", /has not called the manager after 0 s/],
  [
    "ends by itself before it has settled",
    `await send({ type: "called" }); process.exit(1);`,
    /ended with code 1: going back/,
  ],
];
test.each(BAD)("a new program that %s is left again, and never taken again", async (_, text, told) => {
  const next = program(text);
  // The one before fetches it once; started again, it waits.
  const flag = path.join(folder.path, "fetched");
  const own = program(
    `import fs from "node:fs"; if (!fs.existsSync(${JSON.stringify(flag)})) { fs.writeFileSync(${JSON.stringify(flag)}, ""); ${fetches(next)} } await send({ type: "called" }); ${WAITS}`,
  );
  const ended = start(own, { comesUpMs: text.startsWith("setInterval") ? 300 : 60_000 });
  await until(() => said.some((line) => line.includes("going back to")), { what: "it goes back" });
  signals.emit("SIGTERM");
  await ended;
  expect(said.join("\n")).toMatch(told);
  expect(read("current")).toBe(own);
  expect(read("refused")).toBe(hashOf(readFileSync(path.join(folder.path, next), "utf8")));
});

test("a program of a package or of a container is none that could be renewed", () => {
  const name = program("");
  expect(ProgramFolder.of(path.join(folder.path, name))).toBeNull();
  writeFileSync(path.join(folder.path, "current"), name);
  expect(ProgramFolder.of(path.join(folder.path, name))).not.toBeNull();
  expect(ProgramFolder.of(path.join(folder.path, "tablao.mjs"))).toBeNull();
});
