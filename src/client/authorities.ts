/** The certificate authorities that count besides those that Node brings: of a file, and of the system. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import tls from "node:tls";
import { messageOf } from "../lib/errors.ts";
import { NetworkFault } from "./network-fault.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * Where Linux, the BSDs and macOS keep authorities of the system in one file; the first that is there
 * counts. The places are those that Go reads (`crypto/x509/root_linux.go`, `root_bsd.go`).
 */
const SYSTEM_FILES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/ssl/cert.pem",
  "/usr/local/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt",
];

/**
 * The certificates of a file in PEM, at least one. `named` is where the file was named (`--ca`).
 * Throws `NetworkFault`, which names both, for a file that cannot be read or holds none.
 */
export function readAuthorities(file: string, named: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new NetworkFault(`${named} ${file} cannot be read: ${messageOf(error)}`);
  }
  const found = text.match(CERTIFICATE) ?? [];
  if (found.length === 0)
    throw new NetworkFault(`${named} ${file} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  const broken = found.findIndex((pem) => !isCertificate(pem));
  if (broken !== -1) throw new NetworkFault(`${named} ${file}: its certificate ${broken + 1} is broken`);
  return found;
}

/**
 * The authorities that the system trusts, those of an administrator included, and those of
 * `SSL_CERT_FILE`. It takes some 100 ms. Empty where the system keeps none that this Node can read,
 * which is so on macOS and Windows before Node 22.15.
 */
export function systemAuthorities(env: NodeJS.ProcessEnv): string[] {
  const found = [...ofNode("system"), ...ofFirstFile(systemFiles()), ...ofFile(env["SSL_CERT_FILE"])];
  // One that is broken would make all others useless.
  return [...new Set(found)].filter(isCertificate);
}

/** None on Windows: there, every user can make such a folder on the drive. */
export function systemFiles(platform: NodeJS.Platform = process.platform): readonly string[] {
  return platform === "win32" ? [] : SYSTEM_FILES;
}

/**
 * The authorities that count without us, for a list in their place: Node's own and those of
 * `NODE_EXTRA_CA_CERTS`.
 */
export function defaultAuthorities(env: NodeJS.ProcessEnv): string[] {
  const known = ofNode("default");
  return known.length > 0 ? known : [...tls.rootCertificates, ...ofFile(env["NODE_EXTRA_CA_CERTS"])];
}

/** What Node itself knows; empty before Node 22.15, which cannot tell. */
function ofNode(kind: "default" | "system"): string[] {
  const { getCACertificates }: Partial<typeof tls> = tls;
  try {
    return getCACertificates?.(kind) ?? [];
  } catch {
    return [];
  }
}

function ofFirstFile(files: readonly string[]): string[] {
  for (const file of files) {
    const found = ofFile(file);
    if (found.length > 0) return found;
  }
  return [];
}

/** The certificates of a file that need not be there. */
function ofFile(file: string | undefined): string[] {
  if (file === undefined || file === "") return [];
  try {
    return readFileSync(file, "utf8").match(CERTIFICATE) ?? [];
  } catch {
    return [];
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
