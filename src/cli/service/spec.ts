/** What a service is made from, and what its files and commands are. Pure. */
import { createHash } from "node:crypto";

/** Whether the service is one user's, or the machine's (which an administrator installs). */
export type ServiceScope = "user" | "system";

export interface ServiceAccount {
  name: string;
  /** Absent on Windows. */
  uid?: number | undefined;
  gid?: number | undefined;
  home: string;
}

export interface ServiceSpec {
  /** Name of the unit, the job or the task: see `serviceId`. */
  id: string;
  scope: ServiceScope;
  /** The account that the agent runs as. */
  account: ServiceAccount;
  /** Absolute path of the program, and the arguments that come before the agent's own. */
  command: readonly [string, ...string[]];
  /** The agent's arguments: `worker`, and its options. Never a token. */
  args: readonly string[];
  /** Variables that the agent gets. They may hold secrets (a proxy's password). */
  environment: Readonly<Record<string, string>>;
}

/** A file that belongs to a service. */
export interface ServiceFile {
  path: string;
  text: string;
  /** How it is stored; Task Scheduler reads UTF-16 with a mark. */
  encoding: "utf8" | "utf16le";
  mode: number;
}

/** A program with its arguments. */
export type Command = readonly [string, ...string[]];

/** In the first lines of each file. A file without it is somebody else's, and is neither written nor removed. */
export const MARK = "Written by 'tablao worker install'; 'tablao worker uninstall' removes it.";

/** How long a stop may take in seconds. A clean stop gives frames back in under 2 s; an upload may be under way. */
export const STOP_S = 30;
/** How long after it failed the agent is started again, in seconds: a worker that was removed asks this often. */
export const RESTART_S = 15;

/**
 * The name of the service of the worker with this `--name`; of the one with the machine's name when there is none.
 * It has letters, digits, `.`, `_` and `-` only.
 */
export function serviceId(name: string | undefined): string {
  if (name === undefined) return "tablao-worker";
  const plain = name.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 100);
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 8);
  return `tablao-worker-${plain === name ? name : `${plain}-${hash}`}`;
}

/**
 * Variables of the installing shell that the agent needs, and which a service would not have: where programs are,
 * how the network is reached, and what renderers need. `--env` names others.
 */
const CARRIED = [
  "PATH",
  "HTTPS_PROXY",
  "HTTP_PROXY",
  "NO_PROXY",
  "https_proxy",
  "http_proxy",
  "no_proxy",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "TABLAO_CA",
  "OCIO",
  "LD_LIBRARY_PATH",
  "CUDA_VISIBLE_DEVICES",
];

/** What of this environment goes into the service: what is carried, and what `--env` names. */
export function carriedEnvironment(env: NodeJS.ProcessEnv, named: readonly string[]): Record<string, string> {
  const values = [...new Set([...CARRIED, ...named])].map((name) => [name, env[name]] as const);
  return Object.fromEntries(values.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ""));
}

/** What of a service's text no service manager can hold; null when there is nothing. */
export function textFault(text: string): string | null {
  // oxlint-disable-next-line no-control-regex
  return /[\u0000-\u001f\u007f]/.test(text) ? "it has a line break or another control character" : null;
}

/** Text inside an XML element. */
export function xmlText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
