import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { portIsFree } from "../../test/support/ports.ts";
import { groupMembers, groupEnded, signalGroup } from "./process-group.ts";

/** Listens, and has threads and memory that take the system some time to end. */
const SERVER = `
  const { Worker } = require("node:worker_threads");
  for (let i = 0; i < 8; i++) new Worker("for (;;);", { eval: true });
  const memory = Buffer.alloc(300_000_000, 1);
  const server = require("node:net").createServer().listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

describe("a process group", () => {
  test("has ended when the last of its threads has ended: its port is free then", async () => {
    const held: number[] = [];
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ["-e", SERVER], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
      const [port] = (await once(child.stdout, "data")) as [Buffer];
      expect(groupMembers(child.pid!)).toHaveLength(1);
      expect(signalGroup(child.pid!, "SIGKILL")).toBe(true);
      expect(await groupEnded(child.pid!, 10_000)).toBe(true);
      if (!(await portIsFree(Number(port)))) held.push(round);
    }
    expect(held).toEqual([]);
  });
});
