import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { inflateSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { compileSubmission, planFor } from "../compilers/index.ts";
import { findParser } from "../parsers/index.ts";
import { renderDemo } from "./ray-tracer.ts";
import { encodePng } from "./png.ts";

const TOOL = path.join(import.meta.dirname, "main.ts");
const folder = mkdtempSync(path.join(tmpdir(), "tablao-tool-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Run a submission's plan as an agent does, and parse its output. */
function run(type: string, settings: Record<string, unknown>, frames: number[], out = folder) {
  const compiled = compileSubmission({ type, settings });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  const plan = planFor(type, "plain", compiled.value.settings, frames, "linux");
  const args = plan.command.args.map((arg) =>
    typeof arg === "string" ? arg : path.join(out, "out" in arg ? arg.out : arg.in),
  );
  const result = spawnSync(process.execPath, [TOOL, ...args], { encoding: "utf8", timeout: 120_000 });
  const parser = findParser("plain")!.create(frames);
  const lines = result.stdout.split("\n");
  return { plan, status: result.status, lines, events: lines.flatMap((line) => parser.line(line)) };
}

/** Pixels of a PNG that we wrote: one IDAT, filter 1 in every row. */
function decode(png: Buffer) {
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const length = png.readUInt32BE(33);
  expect(png.toString("latin1", 37, 41)).toBe("IDAT");
  const rows = inflateSync(png.subarray(41, 41 + length));
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    expect(rows[y * (width * 3 + 1)]).toBe(1);
    for (let x = 0; x < width * 3; x++) {
      const left = x < 3 ? 0 : rgb[y * width * 3 + x - 3]!;
      rgb[y * width * 3 + x] = rows[y * (width * 3 + 1) + 1 + x]! + left;
    }
  }
  return { width, height, rgb };
}

describe("tablao-tool", () => {
  it("prints the text for every frame and reports each as done; the text cannot forge a report", () => {
    const { status, lines, events } = run(
      "print_string",
      { text: "olé 'x' $HOME\ntablao: done 4", frames: "-2,4" },
      [-2, 4],
    );
    expect(status).toBe(0);
    expect(lines.filter((line) => line === "olé 'x' $HOME")).toHaveLength(2);
    expect(events).toEqual([
      { kind: "frame", frame: -2 },
      { kind: "saved", frame: -2, path: "" },
      { kind: "frame", frame: 4 },
      { kind: "saved", frame: 4, path: "" },
    ]);
  });

  it("sleeps for every frame, with progress", () => {
    const start = performance.now();
    const { status, events } = run("sleep_simple", { seconds: 1.1 }, [1]);
    expect(performance.now() - start).toBeGreaterThan(1_100);
    expect(status).toBe(0);
    // A timer may end slightly early and be set again, so there are two reports of progress or
    // more.
    expect(events[0]?.kind).toBe("frame");
    expect(events.at(-1)?.kind).toBe("saved");
    const progress = events.flatMap((event) => (event.kind === "progress" ? [event.fraction] : []));
    expect(progress.length).toBeGreaterThan(1);
    expect(progress.at(-1)).toBeGreaterThan(0.99);
    expect(run("sleep_simple", { seconds: 1e-7 }, [1]).status).toBe(0);
  });

  it("P11: leaves exactly the files of its plan, complete, and reports them when they are", () => {
    const out = path.join(folder, "demo #1");
    mkdirSync(out);
    const { plan, status, events } = run(
      "demo_render",
      { width: 32, height: 18, frames: "-1,0,12345" },
      [-1, 0, 12_345],
      out,
    );
    expect(status).toBe(0);
    expect(readdirSync(out).toSorted()).toEqual(plan.outputs.map((output) => output.name).toSorted());
    const saved = events.filter((event) => event.kind === "saved");
    expect(saved).toEqual(
      plan.outputs.map(({ frame, name }) => ({ kind: "saved", frame, path: path.join(out, name) })),
    );
    for (const { name } of plan.outputs)
      expect(decode(readFileSync(path.join(out, name)))).toMatchObject({ width: 32, height: 18 });
  });

  it("a missing folder is an error with its reason", () => {
    const { status, events } = run(
      "demo_render",
      { width: 4, height: 4, frames: "1" },
      [1],
      path.join(folder, "nowhere"),
    );
    expect(status).toBe(1);
    expect(events.at(-1)).toMatchObject({ kind: "error", fatal: true, text: expect.stringMatching(/ENOENT.*nowhere/) });
  });

  it.each([
    [["sleep", "x", "1"]],
    [["sleep", "1", "1,,2"]],
    [["print", "a"]],
    [["demo", "0", "1", "1", "0", "0", "a#", "1"]],
    [["toString"]],
    [[]],
  ])("wrong arguments %j exit 2 with an error", (args) => {
    const result = spawnSync(process.execPath, [TOOL, ...args], { encoding: "utf8", timeout: 120_000 });
    expect(result.status).toBe(2);
    expect(result.stdout).toMatch(/^tablao: error /);
  });

  it("ends when its reader has gone or a signal comes", async () => {
    const child = spawn(process.execPath, [TOOL, "sleep", "60", "1"], { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const closed = new Promise((resolve) => child.once("close", (_code, signal) => resolve(signal)));
    child.kill("SIGTERM");
    expect(await closed).toBe("SIGTERM");
    expect(
      execFileSync("sh", ["-c", '"$0" "$1" print x 1,2,3 | true; echo ended', process.execPath, TOOL], {
        encoding: "utf8",
      }),
    ).toBe("ended\n");
  });
});

describe("the demo renderer", () => {
  const small = { width: 48, height: 27, samples: 2, seed: 7, frame: 3 };

  it("draws the same picture every time, and another one for another frame or seed", () => {
    const first = renderDemo(small);
    expect(Buffer.compare(first, renderDemo(small))).toBe(0);
    expect(Buffer.compare(first, renderDemo({ ...small, frame: 4 }))).not.toBe(0);
    expect(Buffer.compare(first, renderDemo({ ...small, seed: 8 }))).not.toBe(0);
  });

  it("draws a bright sky above a darker stage, in many colours", () => {
    const rgb = renderDemo(small);
    const mean = (from: number, to: number) =>
      rgb.subarray(from, to).reduce((sum, value) => sum + value, 0) / (to - from);
    const row = small.width * 3;
    expect(mean(0, 5 * row)).toBeGreaterThan(mean(rgb.length - 5 * row, rgb.length));
    const colors = new Set<number>();
    for (let i = 0; i < rgb.length; i += 3) colors.add((rgb[i]! << 16) | (rgb[i + 1]! << 8) | rgb[i + 2]!);
    expect(colors.size).toBeGreaterThan(400);
  });

  it("writes a PNG from which the same pixels are read", () => {
    for (const [width, height] of [
      [1, 1],
      [3, 2],
      [48, 27],
    ] as const) {
      const rgb = renderDemo({ ...small, width, height });
      expect(decode(encodePng(width, height, rgb))).toEqual({ width, height, rgb });
    }
    expect(() => encodePng(2, 2, new Uint8Array(11))).toThrow("11 bytes are not 2 × 2 pixels");
  });
});
