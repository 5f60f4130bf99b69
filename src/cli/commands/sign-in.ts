/** `tablao login`, `logout` and `open`. */
import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { Command } from "commander";
import { flagsOf, outputFor, type GlobalFlags } from "../command-line.ts";
import { clientFor, configFile, findUrl, usableToken, writeConfig } from "../connection.ts";
import { CliError, EXIT } from "../failure.ts";

/** Add the commands to the program. */
export function addSignIn(program: Command): void {
  program
    .command("login")
    .summary("remember a manager and your token")
    .description("Remember a manager's address and your token for it, in a file that only you can read.")
    .argument("[url]", "the manager's address")
    .action(async (given: string | undefined, _: unknown, command: Command) => {
      const flags = flagsOf<object>(command);
      const out = outputFor(flags);
      const url = findUrl({ manager: given ?? flags.manager }, process.env);
      const token = flags.token ?? (process.env["TABLAO_TOKEN"] || (await askToken(url)));
      if (token === "") throw new CliError(EXIT.usage, "no token was given", "Paste it, pipe it in, or pass --token.");
      const where =
        flags.token === undefined ? (process.env["TABLAO_TOKEN"] ? "TABLAO_TOKEN" : "what was entered") : "--token";
      usableToken(token, where);
      // Trade the token for an access token, which shows that it works.
      await clientFor(url, token, flags).authorization();
      const file = writeConfig(process.env, { url, token });
      if (out.json) out.value({ url, file });
      else out.line(`signed in to ${url}; kept in ${file}`);
    });
  program
    .command("logout")
    .summary("forget them")
    .description("Forget what login remembered.")
    .action(async (_: unknown, command: Command) => {
      const out = outputFor(flagsOf<object>(command));
      const { rm } = await import("node:fs/promises");
      const file = configFile(process.env);
      await rm(file, { force: true });
      if (out.json) out.value({ file });
      else out.line(`signed out; ${file} is gone`);
    });
  program
    .command("open")
    .summary("open the manager's page in a browser")
    .description("Open the manager's page in a browser.")
    .action(async (_: unknown, command: Command) => {
      const flags: GlobalFlags = flagsOf<object>(command);
      const out = outputFor(flags);
      const url = findUrl(flags, process.env);
      const opened = await openBrowser(url);
      if (out.json) out.value({ url, opened });
      else out.line(opened ? `opened ${url}` : url);
    });
}

/** Read a token: from a pipe its first line; from a terminal without showing what is typed. */
async function askToken(url: string): Promise<string> {
  const terminal = process.stdin.isTTY;
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  if (terminal) process.stderr.write(`Token for ${url}: `);
  const reader = createInterface({ input: process.stdin, output: silent, terminal });
  try {
    if (!terminal) {
      for await (const line of reader) return line.trim();
      return "";
    }
    const interrupt = new AbortController();
    reader.once("SIGINT", () => interrupt.abort());
    reader.once("close", () => interrupt.abort());
    return (await reader.question("", { signal: interrupt.signal })).trim();
  } catch {
    throw new CliError(EXIT.interrupted, "signing in was broken off");
  } finally {
    reader.close();
    if (terminal) process.stderr.write("\n");
  }
}

/** The command that opens an address in the browser. */
export function browserCommand(url: string, platform: NodeJS.Platform, env: NodeJS.ProcessEnv): [string, ...string[]] {
  if (platform === "darwin") return ["open", url];
  if (platform !== "win32") return ["xdg-open", url];
  // Not `cmd /c start`: to a shell, `&` in an address begins another command.
  const root = env["SystemRoot"] ?? "C:\\Windows";
  return [path.win32.join(root, "System32", "rundll32.exe"), "url.dll,FileProtocolHandler", url];
}

/** Open a page in a browser; false when this machine cannot, and the address must be copied. */
async function openBrowser(url: string): Promise<boolean> {
  const [program, ...args] = browserCommand(url, process.platform, process.env);
  if (process.platform === "linux" && !process.env["DISPLAY"] && !process.env["WAYLAND_DISPLAY"]) return false;
  const child = spawn(program, args, { stdio: "ignore", detached: true });
  return await new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("spawn", () => {
      child.unref();
      resolve(true);
    });
  });
}
