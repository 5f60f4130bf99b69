/** Processes that leave the group, the session or the environment of who started them. Linux only. */
import { randomInt } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { onTestFinished } from "vitest";
import { readProcessStat } from "../../src/client/process-stat.ts";

/**
 * A number that tells the strays of a test apart; `sleep` takes it as a part of a second. They end with
 * the test. Call it inside a test.
 */
export function strayToken(): string {
  const token = String(randomInt(10 ** 8, 10 ** 9));
  onTestFinished(() => endStrays(token));
  return token;
}

/**
 * Lines of a shell script: each starts a process that sleeps for an hour, in a way of its own. The
 * script goes on at once. `strays(token)` finds them.
 */
export function straysScript(token: string): string {
  return [
    // In the group.
    `sleep 3600.${token} &`,
    // In a session of its own.
    `setsid sleep 3601.${token} &`,
    // With a parent that has ended, as daemons do it.
    `(setsid sh -c 'cd /; sleep 3602.${token} & exec sleep 0' &)`,
    // Without our environment; its parent goes on.
    `env -i setsid sh -c 'cd / && exec sleep 3603.${token}' &`,
    // Without our environment and without a parent, in our folder.
    `(env -i setsid sleep 3604.${token} &)`,
    "",
  ].join("\n");
}

/** How many `straysScript` starts. */
export const STRAYS = 5;

/** The one of `straysScript` that nothing tells from others when the script has ended by itself. */
export const UNTOLD = "3603";

/** The sleepers with this token that have not ended, in order. */
export function strays(token: string): string[] {
  return sleepers(token)
    .map(({ time }) => time)
    .toSorted();
}

/** End them. */
function endStrays(token: string): void {
  for (const { pid } of sleepers(token)) process.kill(pid, "SIGKILL");
}

function sleepers(token: string): { pid: number; time: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && readProcessStat(name)?.ended === false)
    .flatMap((name) => {
      try {
        const [program, time = ""] = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        return program === "sleep" && time.endsWith(`.${token}`) ? [{ pid: Number(name), time }] : [];
      } catch {
        // It ended between the two looks.
        return [];
      }
    });
}
