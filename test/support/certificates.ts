/**
 * Certificate authorities and certificates of tests, made here: no key is in the repository, and no
 * program is needed. The form is that of RFC 5280, with keys and signatures on the curve P-256.
 */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { isIP } from "node:net";

/** A certificate and its private key, in PEM, as `tls.createServer` takes them. */
export interface Certificate {
  cert: string;
  key: string;
}

export interface Authority extends Certificate {
  /** A certificate of a server with these names or IPv4 addresses; valid for a day. */
  issue(names: readonly string[], options?: { expired?: boolean }): Certificate;
}

const OID = {
  commonName: [0x55, 0x04, 0x03],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  basicConstraints: [0x55, 0x1d, 0x13],
  keyUsage: [0x55, 0x1d, 0x0f],
  subjectAltName: [0x55, 0x1d, 0x11],
};
const DAY_MS = 86_400_000;

/** DER: tag, length, content. */
function der(tag: number, ...parts: (Uint8Array | readonly number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts: Uint8Array[]): Buffer => der(0x30, ...parts);
const oid = (bytes: readonly number[]): Buffer => der(0x06, bytes);
const nameOf = (text: string): Buffer =>
  sequence(der(0x31, sequence(oid(OID.commonName), der(0x0c, Buffer.from(text)))));
const ALGORITHM = sequence(oid(OID.ecdsaWithSha256));
const CRITICAL = der(0x01, [0xff]);

/** GeneralizedTime, which RFC 5280 wants from 2050 on, and OpenSSL takes always. */
function time(ms: number): Buffer {
  return der(0x18, Buffer.from(`${new Date(ms).toISOString().replaceAll(/[-:T]|\..*/g, "")}Z`));
}

function alternativeName(name: string): Buffer {
  return isIP(name) === 4 ? der(0x87, name.split(".").map(Number)) : der(0x82, Buffer.from(name));
}

interface Wanted {
  subject: string;
  issuer: string;
  publicKey: KeyObject;
  signer: KeyObject;
  fromMs: number;
  untilMs: number;
  extensions: Buffer[];
}

function certificate({ subject, issuer, publicKey, signer, fromMs, untilMs, extensions }: Wanted): string {
  const content = sequence(
    der(0xa0, der(0x02, [2])),
    // Positive, and another one for each certificate.
    der(0x02, [0x01], randomBytes(15)),
    ALGORITHM,
    nameOf(issuer),
    sequence(time(fromMs), time(untilMs)),
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = der(0x03, [0], sign("sha256", content, signer));
  const lines = sequence(content, ALGORITHM, signature)
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

const pem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();

/** Make an authority of this name. */
export function makeAuthority(name: string): Authority {
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const cert = certificate({
    subject: name,
    issuer: name,
    publicKey: own.publicKey,
    signer: own.privateKey,
    fromMs: Date.now() - 30 * DAY_MS,
    untilMs: Date.now() + DAY_MS,
    extensions: [
      sequence(oid(OID.basicConstraints), CRITICAL, der(0x04, sequence(der(0x01, [0xff])))),
      // Only the bit for the signing of certificates.
      sequence(oid(OID.keyUsage), CRITICAL, der(0x04, der(0x03, [2, 0x04]))),
    ],
  });
  return {
    cert,
    key: pem(own.privateKey),
    issue: (names, { expired = false } = {}) => {
      const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const issued = certificate({
        subject: names[0] ?? "",
        issuer: name,
        publicKey: keys.publicKey,
        signer: own.privateKey,
        fromMs: Date.now() - 2 * DAY_MS,
        untilMs: Date.now() + (expired ? -DAY_MS : DAY_MS),
        extensions: [sequence(oid(OID.subjectAltName), der(0x04, sequence(...names.map(alternativeName))))],
      });
      return { cert: issued, key: pem(keys.privateKey) };
    },
  };
}
