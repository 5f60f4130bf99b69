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
import { isLive, ownRecordFile, readRecord, type ManagerRecord } from "./manager-record.ts";
import { PROGRAM_FILE } from "../client/program-file.ts";
import { readPrivateJson, UnreadableFile, writePrivateFile } from "../client/private-file.ts";
import { NetworkFault } from "../client/network-fault.ts";
import { tokenFault } from "../client/secret-text.ts";
import { COMMAND } from "./own-command.ts";

/** How long a call is tried while a person waits; commands that run for hours set a longer time. */
const RETRY_FOR_MS = 2_000;

export interface Address {
  url: string;
  token: string | undefined;
}

export interface AddressFlags {
  manager?: string | undefined;
  token?: string | undefined;
  /** A file with further certificate authorities. */
  ca?: string | undefined;
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

/** An address and the token that belongs to it. */
interface KnownManager {
  url: string;
  token: string;
}

/**
 * Files that name managers, each read when it is first needed: one that cannot be used must not stop
 * a command that is told everything by flags and variables.
 */
class ManagerFiles {
  readonly configFile: string;
  readonly recordFile: string | undefined;
  #config: KnownManager | null | undefined;
  #record: ManagerRecord | null | undefined;

  constructor(env: NodeJS.ProcessEnv, record: string | undefined) {
    this.configFile = configFile(env);
    this.recordFile = record;
  }

  /** What `tablao login` wrote. */
  get config(): KnownManager | null {
    this.#config ??=
      usable(
        () => readPrivateJson(this.configFile, configSchema, "it holds no address and token"),
        `Write it anew with: ${COMMAND} login URL`,
      ) ?? null;
    return this.#config;
  }

  /** The manager of `npm start`, also one that has stopped. */
  get record(): ManagerRecord | null {
    const { recordFile } = this;
    this.#record ??=
      usable(
        () => (recordFile === undefined ? undefined : readRecord(recordFile)),
        `Name the manager: --manager URL, TABLAO_URL, or \`${COMMAND} login URL\`.`,
      ) ?? null;
    return this.#record;
  }

  get running(): ManagerRecord | null {
    return this.record && isLive(this.record) ? this.record : null;
  }
}

function usable<T>(read: () => T, advice: string): T {
  try {
    return read();
  } catch (thrown) {
    throw thrown instanceof UnreadableFile ? new CliError(EXIT.usage, thrown.message, advice) : thrown;
  }
}

/** The manager's address. Files are read only when no flag and no variable names it. */
export function findUrl(flags: AddressFlags, env: NodeJS.ProcessEnv, record = ownRecordFile()): string {
  return urlFrom(flags, env, new ManagerFiles(env, record));
}

function urlFrom(flags: AddressFlags, env: NodeJS.ProcessEnv, files: ManagerFiles): string {
  const url = flags.manager ?? (env["TABLAO_URL"] || undefined) ?? files.config?.url ?? files.running?.url;
  if (url !== undefined) return checkedUrl(url);
  throw new CliError(
    EXIT.unreachable,
    files.record ? `no manager is running here (the one at ${files.record.url} has stopped)` : "no manager is known",
    `${PROGRAM_FILE === undefined ? "Start one with `npm start`, or name" : "Name"} one: --manager URL, TABLAO_URL, or \`${COMMAND} login URL\`.`,
  );
}

/**
 * The manager's address and, where known, its token. Throws `CliError` for a token that cannot be one,
 * and names where it stands.
 */
export function findAddress(flags: AddressFlags, env: NodeJS.ProcessEnv, record = ownRecordFile()): Address {
  const files = new ManagerFiles(env, record);
  const url = urlFrom(flags, env, files);
  const own = env["TABLAO_TOKEN"] || undefined;
  if (flags.token !== undefined) return { url, token: usableToken(flags.token, "--token") };
  if (own !== undefined && sameManager((env["TABLAO_URL"] || undefined) ?? url, url))
    return { url, token: usableToken(own, "TABLAO_TOKEN") };
  if (files.config && sameManager(files.config.url, url))
    return { url, token: usableToken(files.config.token, files.configFile) };
  if (files.running && sameManager(files.running.url, url))
    return { url, token: usableToken(files.running.token, files.recordFile ?? "") };
  return { url, token: undefined };
}

/** A token as it was given; throws `CliError`, which names the place and not the token. */
export function usableToken(token: string, where: string): string {
  const fault = tokenFault(token);
  if (fault === undefined) return token;
  throw new CliError(EXIT.usage, `the token in ${where} cannot be used: ${fault}`, "Copy it again, whole and alone.");
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
      `Sign in with \`${COMMAND} login ${url}\`, or set TABLAO_TOKEN.`,
    );
  }
  return clientFor(url, token, flags);
}

/**
 * A client for a command that a person waits for. Throws `CliError` for a proxy, or a file of
 * authorities, that cannot be used.
 */
export function clientFor(url: string, token: string, { ca }: Pick<AddressFlags, "ca">): ManagerClient {
  try {
    return new ManagerClient({ url, secret: token, userAgent: `tablao/${VERSION}`, retryForMs: RETRY_FOR_MS, ca });
  } catch (thrown) {
    throw thrown instanceof NetworkFault ? new CliError(EXIT.usage, thrown.message) : thrown;
  }
}

const LISTS = {
  task: `List them with \`${COMMAND} tasks --all\`.`,
  setting: `List them with \`${COMMAND} settings list\`.`,
  token: `List them with \`${COMMAND} token list\`.`,
  worker: `List them with \`${COMMAND} workers\`.`,
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
  // What to do about these is in their messages.
  if (code === "certificate" || code === "proxy") return new CliError(EXIT.unreachable, message);
  if (status === 0) {
    return new CliError(
      EXIT.unreachable,
      message,
      "Is it running, and is the address right?" + (PROGRAM_FILE === undefined ? " In a checkout: npm start" : ""),
    );
  }
  if (status === 401)
    return new CliError(EXIT.auth, "the manager does not know this token", `Sign in again: ${COMMAND} login URL`);
  if (status === 403)
    return new CliError(EXIT.auth, message, `Use a token of another role: --token, or ${COMMAND} login URL`);
  if (status === 404) {
    const listed = (["task", "setting", "token", "worker"] as const).find((noun) => message.includes(noun));
    return new CliError(EXIT.notFound, message, listed && LISTS[listed]);
  }
  if (status >= 500 || status === 429)
    return new CliError(EXIT.unreachable, `the manager answered ${status}: ${message}`, "Try again in a moment.");
  return new CliError(EXIT.refused, message);
}
