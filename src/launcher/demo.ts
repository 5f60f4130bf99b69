/**
 * `npm run demo`: a farm in a minute. It starts a manager of its own and one agent, and runs the
 * commands that a person would type. The result is in ./demo-output, and nothing else stays.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ManagerClient } from "../client/manager-client.ts";
import { CHECKOUT_COMMAND } from "../protocol/join-command.ts";
import { tokenCreatedSchema } from "../protocol/token.ts";
import { workersSchema } from "../protocol/worker.ts";
import { CliError, EXIT } from "../cli/failure.ts";
import { messageOf } from "../lib/errors.ts";
import { launchManager, type RunningManager } from "./manager-process.ts";
import { buildPageIfNeeded } from "./build-if-needed.ts";
import { reportAndExit, stopSignal } from "../cli/stop-signals.ts";

const FRAMES = 24;
/**
 * Frames of one load of Blender. Three leases in all, so that the lease protocol has something to
 * do.
 */
const CHUNK = 8;
const OUTPUT = "demo-output";
const WORKER_WITHIN_MS = 30_000;
const AGENT_STOPS_WITHIN_MS = 10_000;
const TABLAO = path.join(import.meta.dirname, "../cli/tablao.js");
const GUARD = path.join(import.meta.dirname, "stop-with-launcher.js");

const run = promisify(execFile);

/** The first line a program prints about its version; undefined when it is not on the PATH. */
async function versionOf(program: string, flag: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, [flag], { timeout: 20_000 });
    return stdout.split("\n", 1)[0]!.split(" Copyright")[0]!.replace(" version ", " ").trim();
  } catch {
    return undefined;
  }
}

/**
 * Make the scene; answers with the .blend, or with undefined, after a line that says why, when this
 * Blender cannot make it.
 */
async function makeScene(print: (text: string) => void, signal: AbortSignal): Promise<string | undefined> {
  const file = path.join(OUTPUT, "dance.blend");
  const script = path.join(import.meta.dirname, "demo-scene.py");
  const args = ["-b", "--factory-startup", "--python-exit-code", "1", "--python", script, "--", path.resolve(file)];
  try {
    await run("blender", args, { signal, timeout: 120_000, maxBuffer: 16_000_000 });
    return file;
  } catch (thrown) {
    signal.throwIfAborted();
    const printed = thrown instanceof Error && "stderr" in thrown ? String(thrown.stderr) : "";
    const reason = /^.*Error: .*$/m.exec(printed)?.[0] ?? messageOf(thrown).split("\n", 1)[0]!;
    print(`Renderer  our small ray tracer instead: this Blender could not make the scene (${reason.trim()})`);
    return undefined;
  }
}

interface Farm {
  manager: RunningManager;
  agent: ChildProcess;
  environment: NodeJS.ProcessEnv;
}

async function startAgent(manager: RunningManager, folder: string, signal: AbortSignal): Promise<Farm> {
  const client = new ManagerClient({ url: manager.url, secret: manager.token });
  const json = { role: "join", name: "demo", uses: 1 };
  const { token } = await client.call(tokenCreatedSchema, "POST", "/tokens", { json });
  const environment: NodeJS.ProcessEnv = { ...process.env, TABLAO_URL: manager.url, TABLAO_TOKEN: manager.token };
  const args = [
    "--import",
    GUARD,
    TABLAO,
    "worker",
    "--name",
    "demo",
    "--state-dir",
    path.join(folder, "agent"),
    "--quiet",
  ];
  // A process group of its own: Ctrl-C reaches the demo alone, which then stops the agent in order.
  const agent = spawn(process.execPath, args, {
    env: { ...environment, TABLAO_JOIN: token },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    detached: true,
  });
  const until = performance.now() + WORKER_WITHIN_MS;
  for (;;) {
    signal.throwIfAborted();
    const workers = Object.values(await client.call(workersSchema, "GET", "/workers"));
    if (workers.some((worker) => worker.connection === "online")) return { manager, agent, environment };
    if (agent.exitCode !== null || performance.now() > until) {
      await stopAgent(agent);
      throw new CliError(EXIT.failed, "the demo's agent did not start");
    }
    await sleep(100);
  }
}

async function stopAgent(agent: ChildProcess): Promise<void> {
  if (agent.exitCode !== null || agent.signalCode !== null) return;
  const gone = new Promise((resolve) => agent.once("exit", resolve));
  agent.kill("SIGTERM");
  const timer = setTimeout(() => agent.kill("SIGKILL"), AGENT_STOPS_WITHIN_MS);
  await gone;
  clearTimeout(timer);
}

/** Run one of our commands as a person would, its output on this terminal. */
async function tablao(farm: Farm, args: string[], signal: AbortSignal): Promise<void> {
  const shown = args.map((arg) => (/[^\w./:=-]/.test(arg) ? `'${arg}'` : arg)).join(" ");
  process.stdout.write(`\n$ ${CHECKOUT_COMMAND} ${shown}\n`);
  const child = spawn(process.execPath, ["--import", GUARD, TABLAO, ...args], {
    env: farm.environment,
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  const end = (): void => void child.kill("SIGTERM");
  signal.addEventListener("abort", end);
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  signal.removeEventListener("abort", end);
  signal.throwIfAborted();
  if (code !== 0) throw new CliError(EXIT.failed, `that command ended with exit code ${code}`);
}

async function demo(signal: AbortSignal, folder: string): Promise<void> {
  const began = performance.now();
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const [blender, ffmpeg] = await Promise.all([versionOf("blender", "--version"), versionOf("ffmpeg", "-version")]);
  print(blender ? `Renderer  ${blender}` : "Renderer  our small ray tracer: Blender is not on the PATH");
  print(ffmpeg ? `Video     ${ffmpeg}` : "Video     none: ffmpeg is not on the PATH");
  print("Manager   starting …");
  const options = { stateFolder: path.join(folder, "state"), host: "127.0.0.1", port: 0, signal };
  mkdirSync(OUTPUT, { recursive: true });
  const scene = blender ? makeScene(print, signal) : undefined;
  // It is awaited below; until then a failure must not count as unhandled.
  scene?.catch(() => undefined);
  const noPage = await buildPageIfNeeded(signal);
  const manager = await launchManager(options);
  if (!manager) return;
  let farm: Farm | undefined;
  try {
    print(`Manager   ${manager.url}`);
    print(noPage === undefined ? `Page      ${manager.url}/app/sign-in#${manager.token}` : `Page      none: ${noPage}`);
    farm = await startAgent(manager, folder, signal);
    print("Agent     one, on this machine");
    const file = await scene;
    const what =
      file === undefined
        ? ["--type", "demo_render", "--settings", '{"width":480,"height":270}', "--name", "dance"]
        : [file];
    const frames = ["--frames", `1-${FRAMES}`, "--chunk", String(CHUNK)];
    await tablao(farm, ["submit", ...what, ...frames, ...(ffmpeg ? ["--video"] : []), "--wait"], signal);
    await tablao(farm, ["download", "1", OUTPUT], signal);
    if (ffmpeg) await tablao(farm, ["download", "2", OUTPUT], signal);
    print("");
    const video = readdirSync(OUTPUT).find((name) => name.endsWith(".mp4"));
    print(
      `${FRAMES} frames${ffmpeg && video ? ` and ${video}` : ""} are in ./${OUTPUT} (${((performance.now() - began) / 1_000).toFixed(0)} s in all).`,
    );
    if (!blender)
      print(
        "Install Blender (apt install blender, brew install --cask blender, or blender.org) and run this again for a real scene.",
      );
    if (!ffmpeg) print("Install ffmpeg and run this again for a video.");
    print("Next: npm start, and README.md.");
  } finally {
    if (farm) await stopAgent(farm.agent);
    await manager.stop();
  }
}

if (import.meta.main) {
  const signal = stopSignal();
  const folder = mkdtempSync(path.join(tmpdir(), "tablao-demo-"));
  try {
    await demo(signal, folder);
    process.exitCode = signal.aborted ? EXIT.interrupted : EXIT.ok;
  } catch (thrown) {
    // After a failure the folder stays, with its logs; after Ctrl-C it goes.
    if (signal.aborted) {
      rmSync(folder, { recursive: true, force: true });
      process.exit(EXIT.interrupted);
    }
    reportAndExit("npm run demo", thrown);
  }
  rmSync(folder, { recursive: true, force: true });
  process.exit();
}
