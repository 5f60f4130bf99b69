/** What the installation of a service does to the machine, in one place, so that tests can pass their own. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import path from "node:path";
import { writeFileAtomic } from "../../client/private-file.ts";
import { systemCode } from "../../lib/errors.ts";
import { argumentWord } from "./task-scheduler.ts";
import type { Command, ServiceAccount, ServiceFile } from "./spec.ts";

/** How a program ended; `code` is null when it is not here. */
export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Host {
  platform: NodeJS.Platform;
  /** Run a program and wait for it. */
  run(command: Command): Ran;
  /** Run the agent as this account, its output shown. Answers with its exit code. */
  runAgent(command: Command, env: NodeJS.ProcessEnv, account: ServiceAccount): Promise<number>;
  /** The text of a file; undefined when there is none. */
  read(file: string): string | undefined;
  write(file: ServiceFile): void;
  /** Remove a file, and its folder when it is one of ours and empty. */
  remove(file: string): void;
  exists(file: string): boolean;
  /** The names in a folder; none when it is not there. */
  list(folder: string): string[];
  sleep(ms: number): Promise<void>;
}

/** A folder that the installation may have made, and that nobody else uses. */
const OWN_FOLDER = /[/\\](tablao|services|Tablao)$/;

/** This machine. */
export function thisHost(): Host {
  return {
    platform: process.platform,
    run: ([program, ...args]) => {
      const ran = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
      if (ran.error && systemCode(ran.error) === "ENOENT") return { code: null, stdout: "", stderr: "" };
      if (ran.error) throw ran.error;
      return { code: ran.status ?? 1, stdout: ran.stdout, stderr: ran.stderr };
    },
    runAgent: async (command, env, { uid, gid }) => {
      const other = uid !== undefined && uid !== process.getuid?.();
      // A command file is no program: the interpreter runs it.
      const isWindows = process.platform === "win32";
      const [program, ...args] = isWindows
        ? ["cmd.exe", "/d", "/s", "/c", `"${command.map((word) => argumentWord(word)).join(" ")}"`]
        : command;
      const child = spawn(program, args, {
        env,
        stdio: ["ignore", "inherit", "inherit"],
        windowsVerbatimArguments: isWindows,
        ...(other && { uid, gid }),
      });
      return await new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("exit", (code) => resolve(code ?? 1));
      });
    },
    read: (file) => {
      try {
        const bytes = readFileSync(file);
        return bytes[0] === 0xff && bytes[1] === 0xfe ? bytes.toString("utf16le") : bytes.toString("utf8");
      } catch (error) {
        if (systemCode(error) === "ENOENT") return undefined;
        throw error;
      }
    },
    write: ({ path: file, text, encoding, mode }) => {
      const folder = path.dirname(file);
      const isNew = !existsSync(folder);
      mkdirSync(folder, { recursive: true });
      if (isNew && OWN_FOLDER.test(folder)) chmodSync(folder, 0o700);
      writeFileAtomic(file, Buffer.from(text, encoding), mode);
    },
    remove: (file) => {
      rmSync(file, { force: true });
      const folder = path.dirname(file);
      if (!OWN_FOLDER.test(folder)) return;
      try {
        rmdirSync(folder);
      } catch {
        // It holds files of another service.
      }
    },
    exists: (file) => {
      try {
        lstatSync(file);
        return true;
      } catch {
        return false;
      }
    },
    list: (folder) => (existsSync(folder) ? readdirSync(folder) : []),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
}
