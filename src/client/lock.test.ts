import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { takeLock } from "./lock.ts";
import { identityOf, isRunning, processSpace } from "./process-stat.ts";

const folder = temporaryFolder("lock");
afterAll(() => folder.remove());
let count = 0;
const lockFile = (): string => path.join(folder.path, `lock-${++count}`);

/** No process has this id: Linux stops at 2^22. */
const GONE = { pid: 99_999_999, boot: "", start: "" };

/** Leave the lock that a process with this identity would leave when it dies. */
function leave(file: string, owner: typeof GONE): void {
  const id = crypto.randomUUID();
  writeFileSync(file, `${JSON.stringify({ id, ...owner })}\n`);
}

test("is held until it is released; the holder is named, also within one process", async () => {
  const file = lockFile();
  const first = await takeLock(file);
  expect(first.ok).toBe(true);
  expect(await takeLock(file)).toMatchObject({ ok: false, error: { pid: process.pid } });
  if (first.ok) first.value.release();
  expect(existsSync(file)).toBe(false);
  const second = await takeLock(file);
  expect(second.ok).toBe(true);
  // The lock has another holder now: a second release by the first one changes nothing.
  if (first.ok) first.value.release();
  expect((await takeLock(file)).ok).toBe(false);
});

describe("a stale lock is taken over", () => {
  const me = identityOf(process.pid);
  test.each([
    ["of a process that is gone", GONE],
    ["of a process whose id was given to another one", { ...me, start: `${me.start}1` }],
    ["of another boot", { ...me, boot: "00000000-0000-4000-8000-000000000000" }],
  ])("%s", async (name, owner) => {
    // Only Linux and macOS report when a process and the machine were started.
    if (owner !== GONE && me.start === "") return;
    const file = lockFile();
    leave(file, owner);
    const lock = await takeLock(file);
    expect(lock.ok, name).toBe(true);
    if (lock.ok) lock.value.release();
    expect(readdirSync(folder.path).filter((other) => other.startsWith(path.basename(file)))).toEqual([]);
  });

  test("as earlier releases wrote it: a process id alone", async () => {
    const file = lockFile();
    writeFileSync(file, String(process.ppid));
    expect(await takeLock(file)).toMatchObject({ ok: false, error: { pid: process.ppid } });
    writeFileSync(file, String(GONE.pid));
    expect((await takeLock(file)).ok).toBe(true);
    // In a container, the agent that was killed had the same process id as the next one.
    const own = lockFile();
    writeFileSync(own, String(process.pid));
    expect((await takeLock(own)).ok).toBe(true);
  });

  test("without an owner, when its writer has had enough time; a takeover that died in the middle does not block", async () => {
    const file = lockFile();
    writeFileSync(file, "");
    expect((await takeLock(file)).ok).toBe(true);

    const half = lockFile();
    const id = crypto.randomUUID();
    writeFileSync(half, JSON.stringify({ id, ...GONE }));
    leave(`${half}.${id}.guard`, GONE);
    leave(`${half}.${crypto.randomUUID()}.draft`, GONE);
    expect((await takeLock(half)).ok).toBe(true);
    expect(readdirSync(folder.path).filter((name) => name.startsWith(`${path.basename(half)}.`))).toEqual([]);
  });
});

describe("a holder whose process ids are counted elsewhere: in another container, on another machine", () => {
  const other = { pid: 1, boot: "one-kernel", start: "5" };
  const here = { ...other, start: "9" };

  test("P2: keeps the lock while it lives, though both are process 1", async () => {
    const file = lockFile();
    const theirs = await takeLock(file, other, { space: "one-kernel pid:[1]" });
    expect(theirs.ok).toBe(true);
    expect(await takeLock(file, here, { space: "one-kernel pid:[2]" })).toMatchObject({ ok: false, error: other });
    if (theirs.ok) theirs.value.release();
    expect((await takeLock(file, here, { space: "one-kernel pid:[2]" })).ok).toBe(true);
  }, 120_000);

  test("P13: is taken over when it is silent: after a power cut, in a clone of its machine, in a new container", async () => {
    const file = lockFile();
    // A process of this id runs here, and says nothing of the holder.
    const record = { id: crypto.randomUUID(), ...identityOf(process.pid), space: "another-kernel pid:[1]" };
    writeFileSync(file, JSON.stringify(record));
    expect((await takeLock(file, identityOf(process.pid), { silentMs: 100 })).ok).toBe(true);
  });
});

describe("a holder of a system that does not tell when a process was started: Windows", () => {
  const owner = { pid: process.ppid, boot: "", start: "" };

  test("P2: keeps the lock while it lives", async () => {
    const file = lockFile();
    const theirs = await takeLock(file, owner);
    expect(await takeLock(file)).toMatchObject({ ok: false, error: owner });
    if (theirs.ok) theirs.value.release();
    expect((await takeLock(file)).ok).toBe(true);
  });

  test("P13: is taken over when it is silent, though another process has its id: after each restart", async () => {
    const file = lockFile();
    writeFileSync(file, JSON.stringify({ id: crypto.randomUUID(), ...owner, space: processSpace() }));
    expect((await takeLock(file, identityOf(process.pid), { silentMs: 100 })).ok).toBe(true);
  });
});

test.skipIf(process.platform !== "linux")("a zombie does not count as running", async () => {
  // The shell's child ends at once; the shell becomes a sleep that never waits for it.
  const parent = spawn("sh", ["-c", "sh -c 'echo $$' & exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(line.toString());
    await expect.poll(() => isRunning(identityOf(pid)), { timeout: 60_000 }).toBe(false);
  } finally {
    parent.kill("SIGKILL");
  }
});

describe("processes that race", () => {
  const racers: ChildProcess[] = [];
  const start = async (script: string): Promise<ChildProcess> => {
    const head = `
      import fs from "node:fs";
      const { takeLock } = await import(${JSON.stringify(path.join(import.meta.dirname, "lock.ts"))});
    `;
    const racer = spawn(process.execPath, ["--no-warnings", "--input-type=module", "-e", head + script], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    racers.push(racer);
    await once(racer, "message");
    return racer;
  };
  afterEach(() => {
    for (const racer of racers.splice(0)) racer.kill("SIGKILL");
  });

  test("for one stale lock, round after round: exactly one gets it", async () => {
    const three = await Promise.all(
      [1, 2, 3].map(() =>
        start(`
          let lock;
          process.on("message", async (file) => {
            if (file === "release") return lock?.release(), (lock = undefined), process.send("released");
            const taken = await takeLock(file);
            if (taken.ok) lock = taken.value;
            process.send(taken.ok ? "taken" : taken.error.pid);
          });
          process.send("ready");
        `),
      ),
    );
    const ask = async (what: string): Promise<unknown[]> =>
      await Promise.all(
        three.map(async (racer) => {
          const answer = once(racer, "message");
          racer.send(what);
          return ((await answer) as unknown[])[0];
        }),
      );
    for (let round = 0; round < 150; round++) {
      const file = lockFile();
      if (round % 3 !== 0) leave(file, GONE);
      const answers = await ask(file);
      const winner = three[answers.indexOf("taken")]?.pid;
      expect(
        answers.filter((answer) => answer !== "taken"),
        `round ${round}`,
      ).toEqual([winner, winner]);
      await ask("release");
      expect(existsSync(file)).toBe(false);
    }
  }, 120_000);

  test("again and again, with holders that die: never two at once", async () => {
    const file = lockFile();
    const inside = `${file}-inside`;
    const script = `
      const [file, inside] = ${JSON.stringify([file, inside])};
      process.send("ready");
      process.once("message", async () => {
        let turns = 0;
        for (const untilMs = performance.now() + 2_000; performance.now() < untilMs; ) {
          const lock = await takeLock(file);
          if (!lock.ok) continue;
          fs.writeFileSync(inside, "", { flag: "wx" });
          fs.rmSync(inside);
          if (++turns % 2 === 0) lock.value.release();
          else {
            // As a death of the holder leaves it: the record of a process that does not run.
            fs.writeFileSync(file + ".dead", JSON.stringify({ id: crypto.randomUUID(), pid: 99999999, boot: "", start: "" }));
            fs.renameSync(file + ".dead", file);
          }
        }
        process.send(turns);
        process.disconnect();
      });
    `;
    const three = await Promise.all([1, 2, 3].map(() => start(script)));
    const turns = three.map(async (racer) => {
      const ended = once(racer, "exit");
      const [answer] = (await Promise.race([once(racer, "message"), ended.then(([code]) => [`exit ${code}`])])) as [
        unknown,
      ];
      return answer;
    });
    for (const racer of three) racer.send("go");
    for (const answer of await Promise.all(turns)) expect(answer).toBeTypeOf("number");
  }, 120_000);
});
