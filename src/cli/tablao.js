#!/usr/bin/env node
/**
 * The `tablao` command. The installed package has the bundled program instead of the sources, which runs on
 * Node 20 as it is. In a checkout, this file is plain JavaScript because it must start on an old Node, which then
 * starts the Node 24 that `npm install` has installed (Node strips types without a flag from 22.18
 * on).
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

// Everybody on a machine can read the arguments of a process, for as long as it runs. The title takes
// their place; it cannot do so for npm and npx, which have their own copy.
if (process.argv.some((argument) => /^--(join|token)(=|$)/.test(argument))) process.title = "tablao";

const [major, minor] = process.versions.node.split(".").map(Number);
const main = new URL("./main.ts", import.meta.url);

if (!existsSync(main)) {
  // What npx has fetched has no name that a person can type later; an installed package has this one.
  if (process.env.npm_command !== "exec") process.env.TABLAO_COMMAND ||= "tablao";
  await import("../../public/tablao.mjs");
} else if (major > 22 || (major === 22 && minor >= 18)) {
  const { runCommandLine } = await import("./main.ts");
  await runCommandLine(process.argv.slice(2));
} else {
  const name = process.platform === "win32" ? "node.exe" : "node";
  const node = fileURLToPath(new URL(`../../node_modules/node/bin/${name}`, import.meta.url));
  if (!existsSync(node)) {
    console.error(
      `tablao: Node ${process.versions.node} is too old and the checkout's own is missing. Run: npm install`,
    );
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal sends Ctrl-C to both of us; elsewhere only this process gets it.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // A signal to `npx` reaches its shell only: see `whenNpmIsGone`, which this Node cannot load.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event !== undefined)
    setInterval(() => process.ppid === parent || child.kill("SIGTERM"), 300).unref();
  child.on("error", (error) => {
    console.error(`tablao: cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
}
