/**
 * Which proxy a request goes through, by the variables that curl reads, too: so the join line, the
 * agent and the command line take the same way. Pure.
 */
import { BlockList, isIP } from "node:net";
import { isLoopback } from "../protocol/join-command.ts";
import { NetworkFault } from "./network-fault.ts";

export interface Proxy {
  /** Whether the connection to the proxy itself is encrypted (`https://proxy…`). */
  secure: boolean;
  /** Its name or address; an IPv6 address without brackets. */
  host: string;
  port: number;
  /** The value of `Proxy-Authorization`: a secret, which no message shows. */
  authorization: string | undefined;
  /** The variable that names it. */
  variable: string;
  /** For messages: address and variable, without user and password. */
  shown: string;
}

/** The port of an address that names none. */
const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/**
 * The proxy for an address, or undefined when there is none or `NO_PROXY` names the host. Addresses
 * of this machine itself never go through a proxy: it would connect to itself. Throws `NetworkFault`
 * for a variable that names no proxy; the error shows the variable and not its value.
 */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv): Proxy | undefined {
  const lower = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const variable = firstSet(env, lower);
  if (variable === undefined) return undefined;
  const host = bareHost(url);
  const exempt = firstSet(env, "no_proxy");
  if (isLoopback(url.href) || (exempt !== undefined && isExempt(host, portOf(url), env[exempt]!))) return undefined;
  return readProxy(env[variable]!, variable);
}

/** The name of a variable that has a value: in lower case first, as curl reads them. */
function firstSet(env: NodeJS.ProcessEnv, lower: string): string | undefined {
  return [lower, lower.toUpperCase()].find((name) => (env[name] ?? "").trim() !== "");
}

/** The host of an address as a socket takes it: no brackets, no dot at the end. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}

/** The port of an http(s) address. */
export function portOf(url: URL): number {
  return url.port === "" ? DEFAULT_PORTS[url.protocol]! : Number(url.port);
}

function isAmong(list: BlockList, host: string): boolean {
  const version = isIP(host);
  return version !== 0 && list.check(host, version === 6 ? "ipv6" : "ipv4");
}

/**
 * Whether a list of `NO_PROXY` names a host. Its entries are separated by commas or blanks: `*`; a
 * name, which counts for the names below it, too, with or without a dot or `*.` before it; an IP
 * address, or a range of them (`10.0.0.0/8`). Each but a range may have a port.
 */
function isExempt(host: string, port: number, list: string): boolean {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => entry === "*" || isRangeOf(entry, host) || isNameOf(entry, host, port));
}

function isRangeOf(entry: string, host: string): boolean {
  const [, address = "", bits = ""] = /^([\da-f:.]+)\/(\d{1,3})$/i.exec(entry) ?? [];
  const version = isIP(address);
  if (version === 0 || Number(bits) > (version === 6 ? 128 : 32)) return false;
  const range = new BlockList();
  range.addSubnet(address, Number(bits), version === 6 ? "ipv6" : "ipv4");
  return isAmong(range, host);
}

function isNameOf(entry: string, host: string, port: number): boolean {
  // An IPv6 address has a port only behind brackets.
  const [, bracketed, plain, wantedPort] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false;
  const name = (bracketed ?? plain ?? entry)
    .toLowerCase()
    .replace(/^\*?\./, "")
    .replace(/\.$/, "");
  const version = isIP(name);
  if (version === 0) return name !== "" && isIP(host) === 0 && (host === name || host.endsWith(`.${name}`));
  const list = new BlockList();
  list.addAddress(name, version === 6 ? "ipv6" : "ipv4");
  return isAmong(list, host);
}

/** Read the value of a variable. Without a scheme it is an http proxy, as for curl. */
function readProxy(value: string, variable: string): Proxy {
  const text = value.trim();
  const address = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  // An '@' behind the host: the user or the password has a '/', '?' or '#' that ended the host.
  if (!url || url.hostname === "" || `${url.pathname}${url.search}${url.hash}`.includes("@"))
    throw new NetworkFault(
      `${variable} is not the address of a proxy; it looks like http://proxy.example.com:3128, or http://user:password@proxy.example.com:3128 with special characters as %40`,
    );
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new NetworkFault(
      `${variable} names a proxy of the kind ${url.protocol}//; only http:// and https:// are known`,
    );
  const [host, port] = [bareHost(url), portOf(url)];
  return {
    secure: url.protocol === "https:",
    host,
    port,
    authorization: authorizationOf(url, variable),
    variable,
    shown: `the proxy ${url.protocol}//${host.includes(":") ? `[${host}]` : host}:${port} (${variable})`,
  };
}

function authorizationOf({ username, password }: URL, variable: string): string | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(plain).toString("base64")}`;
  } catch {
    throw new NetworkFault(
      `the user or the password in ${variable} has a '%' that begins no character; write it as %25`,
    );
  }
}
