/**
 * Which hosts a webhook may point to: public ones, and those that the admin allows by name in the
 * setting `webhook_hosts`. Pure. A public name that resolves to a private address is not found here:
 * the Worker does not see addresses. On Cloudflare, `fetch` reaches public addresses only.
 */

/** The setting with the hosts that are allowed whatever they are, also with http. */
export const WEBHOOK_HOSTS = "webhook_hosts";

/** The most hosts in that setting. */
const MAX_HOSTS = 50;

/** What that setting must be; it follows the setting's name. */
export const WEBHOOK_HOSTS_RULE = `must be a list of at most ${MAX_HOSTS} host names or addresses, such as ["127.0.0.1"]`;

/** Whether a value of that setting keeps the rule. A host is written as it is in an address, without a port. */
export function areWebhookHosts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MAX_HOSTS && value.every((host) => isHost(host));
}

function isHost(value: unknown): boolean {
  return typeof value === "string" && value.length <= 253 && hostOf(value) === value;
}

/** A host as an address has it after it was read: lower case, numbers as four decimal ones. */
function hostOf(text: string): string | undefined {
  const url = `http://${text}/`;
  return URL.canParse(url) && new URL(url).href === url ? new URL(url).hostname : undefined;
}

/** Why a webhook may not point to this address, as a phrase that follows its field; undefined when it may. */
export function whyRefusedTarget(url: string, allowed: readonly string[]): string | undefined {
  const { protocol, hostname } = new URL(url);
  if (allowed.includes(hostname)) return undefined;
  const allow = `an admin can allow it by name, in the setting ${WEBHOOK_HOSTS}`;
  if (isPrivateHost(hostname))
    return `must not point into a private network or to this machine: '${hostname}' does; ${allow}`;
  return protocol === "https:" ? undefined : `must be https; '${hostname}' may have http if ${allow}`;
}

/** Names that are not public, with all that end in them (RFC 6761, 6762, 8375, and the reserved `internal`). */
const PRIVATE_NAMES = ["localhost", "local", "internal", "home.arpa", "intranet", "lan", "corp", "home", "private"];

/**
 * Whether a host, as `URL.hostname` has it, is not public. That form is the same for every way to
 * write an IPv4 address: as one number, in hexadecimal or octal, with fewer than four parts.
 */
export function isPrivateHost(hostname: string): boolean {
  const name = hostname.replace(/\.$/, "").toLowerCase();
  if (name.startsWith("[")) return isPrivateIpv6(groupsOf(name.slice(1, -1)));
  const ipv4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(name);
  if (ipv4) return isPrivateIpv4(ipv4.slice(1).map(Number));
  // A name without a dot is one of the local network.
  return !name.includes(".") || PRIVATE_NAMES.some((ending) => name === ending || name.endsWith(`.${ending}`));
}

/** Whether it is none of the addresses that the registry of special addresses (RFC 6890) calls global. */
function isPrivateIpv4([a = 0, b = 0, c = 0]: readonly number[]): boolean {
  return (
    a === 0 ||
    a === 10 ||
    a === 127 ||
    a >= 224 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)))) ||
    (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) ||
    (a === 203 && b === 0 && c === 113)
  );
}

/**
 * Only 2000::/3 is public. In it, tunnels (2001::/32, 2002::/16) lead to an IPv4 address of the
 * sender's choice, and 2001:db8::/32 is for documents.
 */
function isPrivateIpv6([first = 0, second = 0]: readonly number[]): boolean {
  if (first < 0x2000 || first > 0x3fff) return true;
  return first === 0x2002 || (first === 0x2001 && (second === 0 || second === 0xdb8));
}

/** The first groups of an IPv6 address in the form of `URL.hostname`, up to a `::`. */
function groupsOf(address: string): number[] {
  return (address.split("::")[0] ?? "")
    .split(":")
    .filter((group) => group !== "")
    .map((group) => Number.parseInt(group, 16));
}
