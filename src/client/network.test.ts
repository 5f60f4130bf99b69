/** The way to a manager: a real proxy, real TLS, and certificates of an authority that is made here. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { z } from "zod";
import { RegistrySocket } from "../agent/registry-socket.ts";
import { makeAuthority, type Authority } from "../../test/support/certificates.ts";
import {
  startConnectProxy,
  startTlsFront,
  type ConnectProxy,
  type ConnectProxyOptions,
  type TlsFront,
} from "../../test/support/connect-proxy.ts";
import { FakeManager } from "../../test/support/fake-manager.ts";
import { testFolder } from "../../test/support/folders.ts";
import { until } from "../../test/support/wait.ts";
import { systemFiles } from "./authorities.ts";
import { downloadTo } from "./download.ts";
import { hashFile } from "./file-hash.ts";
import { ManagerClient, ManagerError } from "./manager-client.ts";
import { Network } from "./network.ts";
import { NetworkFault } from "./network-fault.ts";
import { sendAsset } from "./upload.ts";

/** No DNS has it: who comes to it came through the proxy. */
const HOST = "farm.test";
const thing = z.object({ id: z.int() });

let authority: Authority;
let manager: FakeManager;
let front: TlsFront;
let proxy: ConnectProxy;
let folder: string;
let caFile: string;
const ends: (() => Promise<void>)[] = [];
const before = { ...process.env };
const VARIABLES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TABLAO_CA"];

beforeEach(async () => {
  for (const name of [...VARIABLES, "SSL_CERT_FILE"]) delete process.env[name];
  authority = makeAuthority("Studio Test CA");
  folder = testFolder("network");
  caFile = path.join(folder, "ca.pem");
  writeFileSync(caFile, `# of the studio\n${makeAuthority("Another CA").cert}\n${authority.cert}`);
  manager = await FakeManager.start();
  manager.on("GET", /^\/thing/, () => ({ status: 200, json: { id: 7 } }));
  front = await startFront();
  proxy = await startProxy();
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await manager.stop();
  for (const name of [...VARIABLES, "SSL_CERT_FILE"]) delete process.env[name];
  Object.assign(process.env, before);
});

async function startFront(options: { expired?: boolean } = {}): Promise<TlsFront> {
  const started = await startTlsFront(
    Number(new URL(manager.url).port),
    authority.issue([HOST, "0.0.0.0", "localhost"], options),
  );
  ends.unshift(async () => await started.close());
  return started;
}

async function startProxy(options: Partial<ConnectProxyOptions> = {}): Promise<ConnectProxy> {
  const known = { [`${HOST}:443`]: front.port, [`${HOST}:80`]: Number(new URL(manager.url).port) };
  const started = await startConnectProxy({ known, ...options });
  ends.unshift(async () => await started.close());
  return started;
}

function throughProxy(address = `http://127.0.0.1:${proxy.port}`): void {
  process.env["HTTPS_PROXY"] = address;
  process.env["HTTP_PROXY"] = address;
}

function clientTo(url = `https://${HOST}`, options: { ca?: string } = {}): ManagerClient {
  return new ManagerClient({ url, secret: "s", retryForMs: 0, ...options });
}

async function errorOf(client: ManagerClient): Promise<ManagerError> {
  const error = await client.call(thing, "GET", "/thing").then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ManagerError);
  return error as ManagerError;
}

/** Open the agent's socket, and leave it open until the end of the test. */
async function opensSocket(client: ManagerClient): Promise<void> {
  const server = new WebSocketServer({ server: manager.server });
  const over = new AbortController();
  await new Promise<void>((resolve, reject) => {
    const running = new RegistrySocket({
      client,
      workerId: 3,
      signal: over.signal,
      onPush: () => undefined,
      onUp: resolve,
      onDown: (why) => reject(new Error(why)),
    }).run();
    ends.unshift(async () => {
      over.abort();
      await running;
      server.close();
    });
  });
  expect(server.clients.size).toBe(1);
}

test("calls, uploads, downloads and the WebSocket go through the proxy, by TLS of an authority of --ca", async () => {
  throughProxy();
  const client = clientTo(undefined, { ca: caFile });
  expect(await client.call(thing, "GET", "/thing")).toEqual({ id: 7 });

  const file = path.join(folder, "scene.blend");
  const bytes = randomBytes(3_000_000);
  writeFileSync(file, bytes);
  const hash = await hashFile(file);
  const asset = { sha256: hash.sha256, size: hash.size };
  manager.on("PUT", /^\/assets\//, () => ({ status: 200, json: asset }));
  await sendAsset(client, file, hash);
  expect(manager.to(/^\/assets\//)[0]!.body.equals(bytes)).toBe(true);
  expect(manager.to(/^\/assets\//)[0]!.headers["content-length"]).toBe("3000000");

  manager.on("GET", /^\/outputs$/, () => ({ status: 200, bytes, headers: { "content-type": "image/png" } }));
  const copy = path.join(folder, "frame.png");
  expect(await downloadTo(client, copy, "/outputs", { sha256: hash.sha256 })).toMatchObject({ received: 3_000_000 });
  expect(readFileSync(copy).equals(bytes)).toBe(true);

  await opensSocket(client);
  expect(proxy.open()).toBeGreaterThanOrEqual(1);
  // Every connection that came was one of the proxy's.
  expect(new Set(proxy.tunnels)).toEqual(new Set([`${HOST}:443`]));
  expect(proxy.tunnels).toHaveLength(front.connections());
});

test("a signal ends a call through the proxy, and a timeout of a try does", async () => {
  throughProxy();
  const client = clientTo(undefined, { ca: caFile });
  let asked = 0;
  manager.on("GET", /^\/never$/, async () => {
    asked += 1;
    return await new Promise<undefined>(() => undefined);
  });
  const stop = new AbortController();
  const ended = client.call(thing, "GET", "/never", { signal: stop.signal });
  await until(() => asked === 1 || undefined, { what: "the call is under way" });
  stop.abort(new Error("stopped by the test"));
  await expect(ended).rejects.toThrow("stopped by the test");
  await expect(client.call(thing, "GET", "/never", { timeoutMs: 50 })).rejects.toThrow("no answer in time");
});

test("plain http goes to the proxy with the whole address, and the WebSocket by a tunnel", async () => {
  proxy = await startProxy({ password: "anna:secret" });
  throughProxy(`http://anna:secret@127.0.0.1:${proxy.port}`);
  const client = clientTo(`http://${HOST}`);
  expect(await client.call(thing, "GET", "/thing?x=1")).toEqual({ id: 7 });
  expect(proxy.passed).toEqual([`POST http://${HOST}/auth/access`, `GET http://${HOST}/thing?x=1`]);
  const [call] = manager.to(/^\/thing/);
  expect(call!.headers).toMatchObject({ host: HOST, authorization: expect.stringMatching(/^Bearer /) });
  expect(call!.headers["proxy-authorization"]).toBeUndefined();
  expect(proxy.tunnels).toEqual([]);
  await opensSocket(client);
  expect(proxy.tunnels).toEqual([`${HOST}:80`]);

  throughProxy(`http://anna:wrong@127.0.0.1:${proxy.port}`);
  const error = await errorOf(clientTo(`http://${HOST}`));
  expect(error).toMatchObject({ code: "proxy", status: 0 });
  expect(error.message).toContain("does not take the user and password in HTTP_PROXY");
});

test("a proxy may be spoken to by TLS, with a certificate of the authority of TABLAO_CA", async () => {
  proxy = await startProxy({ secure: authority.issue(["proxy.test", "localhost"]), password: "a:b" });
  process.env["TABLAO_CA"] = caFile;
  throughProxy(`https://a:b@localhost:${proxy.port}`);
  expect(await clientTo().call(thing, "GET", "/thing")).toEqual({ id: 7 });
  expect(await clientTo(`http://${HOST}`).call(thing, "GET", "/thing")).toEqual({ id: 7 });
  expect(proxy.tunnels.length).toBeGreaterThan(0);
  expect(proxy.passed.length).toBeGreaterThan(0);

  delete process.env["TABLAO_CA"];
  const error = await errorOf(clientTo());
  expect(error.message).toContain(`the proxy https://localhost:${proxy.port} (HTTPS_PROXY) cannot be reached`);
  expect(error.message).toContain("--ca FILE");
});

test("NO_PROXY goes around the proxy", async () => {
  throughProxy();
  process.env["NO_PROXY"] = "other.test,0.0.0.0/8";
  const url = `https://0.0.0.0:${front.port}`;
  expect(await clientTo(url, { ca: caFile }).call(thing, "GET", "/thing")).toEqual({ id: 7 });
  expect(proxy.tunnels).toEqual([]);
  process.env["NO_PROXY"] = "";
  const error = await errorOf(clientTo(url, { ca: caFile }));
  expect(error.message).toContain(`opens no connection to 0.0.0.0:${front.port}: it answered 403`);
});

test("P9 P13: each refusal of the proxy is told with its variable, and never with the password", async () => {
  const told = async (address: string): Promise<string> => {
    throughProxy(address);
    const error = await errorOf(clientTo(undefined, { ca: caFile }));
    expect(error).toMatchObject({ code: "proxy", transient: true });
    expect(`${error.message}${JSON.stringify(error)}${String(error.stack)}`).not.toMatch(/secret|c2VjcmV0/);
    return error.message;
  };
  proxy = await startProxy({ password: "anna:right" });
  const at = `127.0.0.1:${proxy.port}`;
  expect(await told(`http://${at}`)).toBe(
    `https://${HOST} cannot be reached: the proxy http://${at} (HTTPS_PROXY) wants a user and a password: add them to HTTPS_PROXY (http://user:password@…)`,
  );
  expect(await told(`http://anna:secret@${at}`)).toContain(
    `the proxy http://${at} (HTTPS_PROXY) does not take the user and password in HTTPS_PROXY (407)`,
  );
  proxy = await startProxy({ password: "x:y", scheme: "NTLM" });
  expect(await told(`http://anna:secret@127.0.0.1:${proxy.port}`)).toContain("of a kind that is not known here (ntlm)");
  proxy = await startProxy({ known: {} });
  expect(await told(`http://anna:secret@127.0.0.1:${proxy.port}`)).toContain(
    `opens no connection to ${HOST}:443: it answered 403`,
  );
  await proxy.close();
  ends.shift();
  expect(await told(`http://anna:secret@127.0.0.1:${proxy.port}`)).toMatch(
    /the proxy http:\/\/127.0.0.1:\d+ \(HTTPS_PROXY\) cannot be reached: .*ECONNREFUSED/,
  );
  // A server that is no proxy.
  expect(await told(`http://anna:secret@127.0.0.1:${front.port}`)).toContain("opens no connection to");
});

test("P13: a certificate that is not trusted, of another name, or expired is told with what to do", async () => {
  throughProxy();
  const untrusted = await errorOf(clientTo());
  expect(untrusted).toMatchObject({ code: "certificate", transient: true });
  expect(untrusted.message).toMatch(/no authority that this machine trusts \([A-Z_]+\).*--ca FILE or TABLAO_CA/);
  const direct = await errorOf(clientTo(`https://localhost:${front.port}`));
  expect(direct.message).toMatch(/--ca FILE or TABLAO_CA/);

  const other = await errorOf(clientTo(`https://127.0.0.1:${front.port}`, { ca: caFile }));
  expect(other.message).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID .*127\.0\.0\.1/);

  front = await startFront({ expired: true });
  proxy = await startProxy();
  throughProxy();
  const expired = await errorOf(clientTo(undefined, { ca: caFile }));
  expect(expired).toMatchObject({ code: "certificate" });
  expect(expired.message).toContain("has expired, or this machine's clock is wrong (CERT_HAS_EXPIRED)");
});

test("the authorities of the system count where Node's own do not, and an upload is sent once", async () => {
  process.env["SSL_CERT_FILE"] = caFile;
  const client = new ManagerClient({
    url: `https://localhost:${front.port}`,
    secret: "s",
    auth: "bearer",
    retryForMs: 0,
  });
  const bodies: string[] = [];
  manager.on("POST", /^\/things$/, ({ body }) => {
    bodies.push(body.toString());
    return { status: 200, json: { id: 8 } };
  });
  let made = 0;
  const body = (): ReadableStream<Uint8Array> => {
    made += 1;
    return new Blob(["the body"]).stream();
  };
  expect(await client.call(thing, "POST", "/things", { body, headers: { "content-length": "8" } })).toEqual({ id: 8 });
  expect(bodies).toEqual(["the body"]);
  expect(made).toBe(2);
  expect(await client.call(thing, "GET", "/thing")).toEqual({ id: 7 });
});

test("several calls that meet the untrusted certificate at once all get through", async () => {
  process.env["SSL_CERT_FILE"] = caFile;
  const client = new ManagerClient({
    url: `https://localhost:${front.port}`,
    secret: "s",
    auth: "bearer",
    retryForMs: 0,
  });
  const calls = Array.from({ length: 5 }, async () => await client.call(thing, "GET", "/thing"));
  expect(await Promise.all(calls)).toEqual(Array.from({ length: 5 }, () => ({ id: 7 })));
});

test("a file of authorities that cannot be used is an error that names the file and where it was named", () => {
  const missing = path.join(folder, "missing.pem");
  const none = path.join(folder, "none.pem");
  const broken = path.join(folder, "broken.pem");
  writeFileSync(none, "hello");
  writeFileSync(broken, `${authority.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`);
  const opened =
    (ca: string | undefined, env: NodeJS.ProcessEnv, url = "https://farm.test") =>
    (): unknown =>
      new Network(url, env, ca);
  expect(opened(missing, {})).toThrow(new RegExp(`^--ca ${missing} cannot be read: ENOENT`));
  expect(opened(folder, {})).toThrow(/^--ca .* cannot be read: EISDIR/);
  expect(opened(none, {})).toThrow(`--ca ${none} holds no certificate in PEM`);
  expect(opened(broken, {})).toThrow(`--ca ${broken}: its certificate 2 is broken`);
  expect(opened(undefined, { TABLAO_CA: missing })).toThrow(/^TABLAO_CA .*missing.pem cannot be read/);
  expect(opened(missing, { TABLAO_CA: caFile })).toThrow(NetworkFault);
  // It is not needed there.
  expect(opened(undefined, { TABLAO_CA: missing }, "http://127.0.0.1:8787")).not.toThrow();
});

test("no file of a drive of Windows counts as one of its system", () => {
  expect(systemFiles("win32")).toEqual([]);
  expect(systemFiles("linux")).toContain("/etc/ssl/certs/ca-certificates.crt");
});

test("without a proxy and without further authorities, nothing but Node's own fetch is used", async () => {
  expect(await new Network("https://farm.test", {}).socketOptions()).toEqual({});
  expect(await new Network("http://127.0.0.1", { HTTP_PROXY: "http://127.0.0.1:1" }).socketOptions()).toEqual({});
});
