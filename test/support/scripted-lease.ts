/** Leases whose program is a few lines of a test. */
import type { LooseLease } from "../../src/agent/lease-calls.ts";

/** A program that the parser `plain` reads. It can use `say`, `write`, `sleep` and `out`. */
function program(body: string): string {
  return `
    const fs = require("node:fs"), out = process.argv[1];
    const say = (line) => fs.writeSync(1, line + "\\n");
    const write = (frame) => { fs.writeFileSync(out + "/f_" + frame, "frame " + frame); say("tablao: saved " + frame + " " + out + "/f_" + frame); };
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    (async () => { ${body} })();`;
}

/** Lease L of task 7, attempt 3, whose program is this script; frame n must leave `f_n`. */
export function lease(
  body: string,
  more: { frames?: string; outputs?: number[]; lease_ms?: number; plan?: object } = {},
): LooseLease {
  const outputs = (more.outputs ?? [1, 2]).map((frame) => ({ frame, name: `f_${frame}` }));
  return {
    task_id: 7,
    lease_id: "L",
    attempt: 3,
    frames: more.frames ?? "1-2",
    lease_ms: more.lease_ms ?? 60_000,
    until_ms: 0,
    grant: "g",
    grant_header: "Tablao-Grant-Token",
    takes_warnings: false,
    takes_fault: false,
    plan: {
      command: { program: process.execPath, args: ["-e", program(body), { out: "" }], env: {} },
      parser: "plain",
      inputs: [],
      input_task: null,
      outputs,
      autoexec: false,
      needs_exec: true,
      frame_timeout_s: null,
      ...more.plan,
    },
  };
}
