/** `npm start`: a manager on this machine, until Ctrl-C. */
import { hostname, networkInterfaces } from "node:os";
import path from "node:path";
import { z } from "zod";
import { ManagerClient } from "../client/manager-client.ts";
import { tokenCreatedSchema, tokenListSchema } from "../protocol/token.ts";
import { CliError, EXIT } from "../cli/failure.ts";
import { messageOf } from "../lib/errors.ts";
import { CHECKOUT_COMMAND, joinCommand } from "../protocol/join-command.ts";
import { launchManager, type RunningManager } from "./manager-process.ts";
import { CHECKOUT, recordFile, removeRecord, writeRecord } from "../cli/manager-record.ts";
import { buildPageIfNeeded } from "./build-if-needed.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";
import { reportAndExit, stopSignal, untilAborted } from "../cli/stop-signals.ts";

const DEFAULT_PORT = 8787;
const DEFAULT_HOST = "127.0.0.1";
/**
 * The join token of a local manager works for a day. A new one is made when less than half of that is
 * left: one that is shown or kept must still work for a while.
 */
const JOIN_TOKEN_S = 86_400;
const JOIN_TOKEN_LEFT_MS = 43_200_000;
/** How often the kept token is looked after while the manager runs. */
const JOIN_TOKEN_CHECK_MS = 3_600_000;

const keptJoinSchema = z.object({ id: z.int(), token: z.string() });

interface JoinToken {
  token: string;
  expiresMs: number;
  /** It was made just now. */
  fresh: boolean;
}

/** Read `PORT`; 0 picks a free one. */
function portOf(text: string | undefined): number {
  if (text === undefined || text === "") return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new CliError(EXIT.usage, `PORT is '${text}': it must be a whole number from 0 to 65535`);
  return port;
}

/** The state folder: `TABLAO_STATE`, else `.tablao/state` of the checkout. */
function stateFolderOf(text: string | undefined): string {
  return text === undefined || text === "" ? path.join(CHECKOUT, ".tablao", "state") : path.resolve(text);
}

/**
 * The join token of this state folder, made when there is none that still works for a while. One of an
 * earlier release, which works for longer than a day, is revoked.
 */
async function joinToken(manager: RunningManager): Promise<JoinToken> {
  const client = new ManagerClient({ url: manager.url, secret: manager.token });
  const file = manager.state.file("join-token");
  const kept = keptJoinSchema.safeParse(JSON.parse(readPrivateFile(file) ?? "null"));
  if (kept.success) {
    const { tokens } = await client.call(tokenListSchema, "GET", "/tokens");
    const known = tokens.find((token) => token.id === kept.data.id);
    if (known && !known.revoked) {
      const expiresMs = known.expires_ms ?? Infinity;
      const leftMs = expiresMs - client.nowMs();
      if (leftMs > JOIN_TOKEN_S * 1_000) await client.call(z.unknown(), "DELETE", `/tokens/${known.id}`);
      else if (leftMs > JOIN_TOKEN_LEFT_MS) return { token: kept.data.token, expiresMs, fresh: false };
    }
  }
  const json = { role: "join", name: `npm start on ${hostname()}`.slice(0, 100), expires_s: JOIN_TOKEN_S };
  const created = await client.call(tokenCreatedSchema, "POST", "/tokens", { json });
  writePrivateFile(file, `${JSON.stringify({ id: created.id, token: created.token })}\n`);
  return { token: created.token, expiresMs: created.expires_ms!, fresh: true };
}

/** The address at which other machines reach a manager that listens on every address. */
function addressForOthers(manager: RunningManager, host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return manager.url;
  const address = Object.values(networkInterfaces())
    .flat()
    .find((entry) => entry && !entry.internal && entry.family === "IPv4")?.address;
  return address === undefined ? manager.url : `http://${address}:${manager.port}`;
}

function welcome(
  manager: RunningManager,
  host: string,
  join: JoinToken,
  seconds: number,
  noPage: string | undefined,
): string {
  const local = host === DEFAULT_HOST || host === "localhost" || host === "::1";
  const inside = path.relative(process.cwd(), manager.state.path);
  const where = inside.startsWith("..") ? manager.state.path : inside || ".";
  const address = addressForOthers(manager, host);
  // Outside a terminal the output may be kept as a log: there the token is shown once, when it is
  // made.
  const token = join.fresh || process.stdout.isTTY ? join.token : "TOKEN";
  const kept = token === "TOKEN" ? `; TOKEN is in ${path.join(where, "join-token")}` : "";
  const until = `${new Date(join.expiresMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  // The link that signs in has the token in its fragment, which a browser sends to no server.
  const page = process.stdout.isTTY ? `${manager.url}/app/sign-in#${manager.token}` : `${manager.url}/`;
  return [
    `Tablao serves at ${manager.url}  (ready in ${seconds.toFixed(1)} s)`,
    "",
    `  page       ${noPage === undefined ? page : `not there: it could not be built (${noPage})`}`,
    `  state      ${where}   log: ${path.join(where, "manager.log")}`,
    `  sign in    with the admin token in ${path.join(where, "admin-token")}; commands in this checkout find it by themselves`,
    `  submit     ${CHECKOUT_COMMAND} submit shot.blend --frames 1-24 --wait`,
    `  look       ${CHECKOUT_COMMAND} tasks · workers · task ID · logs ID · download ID`,
    `  worker     on ${local ? "this" : "any"} machine, in a shell of Linux or macOS; for Windows see ${address}/join:`,
    `             ${joinCommand(address, token)}`,
    `             The join token works until ${until}, for any number of machines${kept}.`,
    ...(local
      ? ["", "Only this machine can reach it, also its workers; HOST=0.0.0.0 npm start opens it to your network."]
      : []),
    "Ctrl-C stops it.",
    "",
  ].join("\n");
}

async function main(): Promise<void> {
  const began = performance.now();
  const host = process.env["HOST"] || DEFAULT_HOST;
  const stop = stopSignal();
  const options = {
    stateFolder: stateFolderOf(process.env["TABLAO_STATE"]),
    host,
    port: portOf(process.env["PORT"]),
    token: process.env["TABLAO_ADMIN_TOKEN"],
    signal: stop,
  };
  if (process.stdout.isTTY) process.stdout.write("Starting the manager …\n");
  const noPage = await buildPageIfNeeded(stop);
  const manager = await launchManager(options);
  if (!manager) return;
  const record = {
    url: manager.url,
    token: manager.token,
    pid: process.pid,
    state: manager.state.path,
    started_ms: Date.now(),
  };
  const files = [recordFile(), manager.state.file("manager.json")];
  try {
    const join = await joinToken(manager);
    writeRecord(files[0]!, record, options.stateFolder === stateFolderOf(undefined));
    writeRecord(files[1]!, record, true);
    // A manager that runs for days must not be left with a token that has expired. A failure is no
    // harm: the next round tries again.
    setInterval(() => void joinToken(manager).catch(() => undefined), JOIN_TOKEN_CHECK_MS).unref();
    process.stdout.write(welcome(manager, host, join, (performance.now() - began) / 1000, noPage));
    const ended = await Promise.race([manager.ended, untilAborted(stop)]);
    if (ended) {
      throw new CliError(
        EXIT.failed,
        "the manager ended unexpectedly",
        `Its log: ${manager.logFile}. Nothing acknowledged is lost; start it again.`,
      );
    }
    if (process.stdout.isTTY) process.stdout.write("\nStopping …\n");
  } finally {
    for (const file of files) removeRecord(file, process.pid);
    await manager.stop();
  }
}

if (import.meta.main) {
  try {
    await main();
    process.exit(EXIT.ok);
  } catch (thrown) {
    reportAndExit("npm start", thrown instanceof Error ? thrown : new Error(messageOf(thrown)));
  }
}
