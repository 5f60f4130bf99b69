/**
 * Which manager, and with which token. The first of these that is set counts:
 * `--manager`/`--token`, `TABLAO_URL`/`TABLAO_TOKEN`, the file that `tablao login` wrote, the
 * manager that `npm start` runs from this checkout. A token that belongs to one address is never
 * sent to another.
 */
import { homedir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { ManagerClient, managerUrl, type ManagerError } from "../client/manager-client.ts";
import { VERSION } from "../protocol/version.ts";
import { CliError, EXIT } from "./failure.ts";
import { messageOf } from "../lib/errors.ts";
import { isLive, readRecord, recordFile } from "./manager-record.ts";
import { readPrivateFile, writePrivateFile } from "../client/private-file.ts";

/** How long a call is tried while a person waits; commands that run for hours set a longer time. */
const RETRY_FOR_MS = 2_000;

export interface Address {
  url: string;
  token: string | undefined;
}

export interface AddressFlags {
  manager?: string | undefined;
  token?: string | undefined;
}

const configSchema = z.object({ url: z.string(), token: z.string() });

/** The file that `tablao login` writes, mode 0600. */
export function configFile(env: NodeJS.ProcessEnv): string {
  const base =
    env["XDG_CONFIG_HOME"] || (process.platform === "win32" && env["APPDATA"]) || path.join(homedir(), ".config");
  return path.join(base, "tablao", "config.json");
}

/** Write the file of `tablao login`; answers with its path. */
export function writeConfig(env: NodeJS.ProcessEnv, address: { url: string; token: string }): string {
  const file = configFile(env);
  writePrivateFile(file, `${JSON.stringify(address, null, 2)}\n`);
  return file;
}

function readConfig(env: NodeJS.ProcessEnv): { url: string; token: string } | undefined {
  const file = configFile(env);
  const text = readPrivateFile(file);
  if (text === undefined) return undefined;
  try {
    return configSchema.parse(JSON.parse(text));
  } catch {
    throw new CliError(EXIT.usage, `${file} cannot be read`, "Write it anew with: npx tablao login URL");
  }
}

/** The manager's address and, where known, its token. */
export function findAddress(flags: AddressFlags, env: NodeJS.ProcessEnv): Address {
  const config = readConfig(env);
  const record = readRecord(recordFile());
  const running = record && isLive(record) ? record : undefined;
  const url = flags.manager ?? (env["TABLAO_URL"] || undefined) ?? config?.url ?? running?.url;
  if (url === undefined) {
    throw new CliError(
      EXIT.unreachable,
      record ? `no manager is running here (the one at ${record.url} has stopped)` : "no manager is known",
      "Start one with `npm start`, or name one: --manager URL, TABLAO_URL, or `npx tablao login URL`.",
    );
  }
  const address = checkedUrl(url);
  const sources = [
    { url: (env["TABLAO_URL"] || undefined) ?? address, token: env["TABLAO_TOKEN"] || undefined },
    { url: config?.url, token: config?.token },
    { url: running?.url, token: running?.token },
  ];
  const found = sources.find(
    (source) => source.token !== undefined && source.url !== undefined && sameManager(source.url, address),
  );
  return { url: address, token: flags.token ?? found?.token };
}

function checkedUrl(url: string): string {
  try {
    return managerUrl(url);
  } catch (thrown) {
    throw new CliError(EXIT.usage, messageOf(thrown));
  }
}

function sameManager(a: string, b: string): boolean {
  try {
    return managerUrl(a) === managerUrl(b);
  } catch {
    return false;
  }
}

/** A client for the manager that the flags and the environment name. */
export function connect(flags: AddressFlags, env: NodeJS.ProcessEnv): ManagerClient {
  const { url, token } = findAddress(flags, env);
  if (token === undefined) {
    throw new CliError(
      EXIT.auth,
      `there is no token for ${url}`,
      `Sign in with \`npx tablao login ${url}\`, or set TABLAO_TOKEN.`,
    );
  }
  return clientFor(url, token);
}

/** A client for a command that a person waits for. */
export function clientFor(url: string, token: string): ManagerClient {
  return new ManagerClient({ url, secret: token, userAgent: `tablao/${VERSION}`, retryForMs: RETRY_FOR_MS });
}

const LISTS = {
  task: "List them with `npx tablao tasks --all`.",
  setting: "List them with `npx tablao settings list`.",
  token: "List them with `npx tablao token list`.",
  worker: "List them with `npx tablao workers`.",
};

/** The error of the command line for a refusal by the manager: text, advice and exit code. */
export function explain(error: ManagerError): CliError {
  const { status, code, message } = error;
  if (code === "foreign") {
    const hint = `Is the address right, and does the network let it through? See "With your own domain" in docs/operations.md.`;
    return new CliError(EXIT.unreachable, message, hint);
  }
  if (code === "bad_answer") {
    return new CliError(EXIT.unreachable, message, "Is that a manager, and of this version? See its /healthz.");
  }
  if (status === 0) {
    return new CliError(EXIT.unreachable, message, "Is it running, and is the address right? In a checkout: npm start");
  }
  if (status === 401)
    return new CliError(EXIT.auth, "the manager does not know this token", "Sign in again: npx tablao login URL");
  if (status === 403)
    return new CliError(EXIT.auth, message, "Use a token of another role: --token, or npx tablao login URL");
  if (status === 404) {
    const listed = (["task", "setting", "token", "worker"] as const).find((noun) => message.includes(noun));
    return new CliError(EXIT.notFound, message, listed && LISTS[listed]);
  }
  if (status >= 500 || status === 429)
    return new CliError(EXIT.unreachable, `the manager answered ${status}: ${message}`, "Try again in a moment.");
  return new CliError(EXIT.refused, message);
}
