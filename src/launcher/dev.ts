/**
 * `npm run dev`: the Worker under `wrangler dev`, which builds it anew after each edit. For
 * development only: it opens a debugger without authentication, by which every account of the
 * machine reads the admin token. Arguments go to `wrangler dev`.
 *
 * `TABLAO_STATE` and `PORT` as with `npm start`; the state is `.tablao/dev` by default. A state
 * folder of `npm start` can be used, and the other way round, but not by both at a time.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { writePrivateFile } from "../client/private-file.ts";
import { CliError, EXIT } from "../cli/failure.ts";
import { CHECKOUT } from "../cli/manager-record.ts";
import { reportAndExit } from "../cli/stop-signals.ts";
import { buildPageIfNeeded } from "./build-if-needed.ts";
import { childEnvironment } from "./node-child.ts";
import { adminToken, localSigningKey, lockStateFolder } from "./state-folder.ts";

const WRANGLER = path.join(
  path.dirname(createRequire(import.meta.url).resolve("wrangler/package.json")),
  "wrangler-dist/cli.js",
);

/** Run wrangler on this terminal to its end; answers with its exit code. */
async function wrangler(args: string[], registry: string): Promise<number> {
  const environment = {
    ...childEnvironment(),
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_WRITE_LOGS: "false",
    // Two managers of the same name would find each other in a shared folder.
    WRANGLER_REGISTRY_PATH: registry,
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_OBSERVABILITY: "false",
    X_LOCAL_EXPLORER: "false",
  };
  const child = spawn(process.execPath, ["--no-warnings", WRANGLER, ...args], {
    cwd: CHECKOUT,
    stdio: "inherit",
    env: environment,
  });
  // Ctrl-C reaches wrangler by the terminal, too; it ends workerd, and then this process ends.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void child.kill(signal));
  return await new Promise((resolve) => child.once("exit", (code) => resolve(code ?? EXIT.failed)));
}

async function main(): Promise<number> {
  const folder = path.resolve(process.env["TABLAO_STATE"] || path.join(CHECKOUT, ".tablao", "dev"));
  const state = await lockStateFolder(folder);
  if (!state) throw new CliError(EXIT.failed, `a manager is already running on the state folder ${folder}`);
  try {
    const token = adminToken(state, process.env["TABLAO_ADMIN_TOKEN"]);
    const secrets = state.file("secrets.env");
    writePrivateFile(secrets, `TABLAO_ADMIN_TOKEN=${token}\nTABLAO_SIGNING_KEY=${localSigningKey(state)}\n`);
    const noPage = await buildPageIfNeeded(new AbortController().signal);
    if (noPage !== undefined) process.stderr.write(`npm run dev: no page: ${noPage}\n`);
    process.stdout.write(
      `For development only: it opens a debugger. The admin token is in ${state.file("admin-token")}\n`,
    );
    const persist = `--persist-to=${state.path}`;
    const registry = state.file("registry");
    const failed = await wrangler(["d1", "migrations", "apply", "HISTORY", "--local", persist], registry);
    if (failed !== EXIT.ok) return failed;
    const port = `--port=${process.env["PORT"] || "8787"}`;
    const own = [port, persist, `--env-file=${secrets}`, "--show-interactive-dev-session=false"];
    return await wrangler(["dev", ...own, ...process.argv.slice(2)], registry);
  } finally {
    state.release();
  }
}

if (import.meta.main) {
  try {
    process.exit(await main());
  } catch (thrown) {
    reportAndExit("npm run dev", thrown);
  }
}
