/**
 * A studio whose machines reach the internet through its proxy only, and whose firewall shows a
 * certificate of the studio's own authority: agent and command line work there.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeAuthority } from "../support/certificates.ts";
import { startConnectProxy, startTlsFront, type ConnectProxy, type TlsFront } from "../support/connect-proxy.ts";
import { endFarm, startAgent, startManager, tablao, untilStatus, type Manager } from "../support/farm.ts";
import { temporaryFolder } from "../support/folders.ts";
import { testScene } from "../support/test-scene.ts";
import { until } from "../support/wait.ts";

/** Only the proxy knows where it is. */
const HOST = "farm.test";
const PASSWORD = "correct-horse";

let manager: Manager;
let front: TlsFront;
let proxy: ConnectProxy;
const temporary = temporaryFolder("proxy");
const folder = temporary.path;
const ca = path.join(folder, "studio-ca.pem");

beforeAll(async () => {
  const authority = makeAuthority("Studio Test CA");
  writeFileSync(ca, authority.cert);
  manager = await startManager();
  front = await startTlsFront(manager.port, authority.issue([HOST, "0.0.0.0"]));
  proxy = await startConnectProxy({ known: { [`${HOST}:443`]: front.port }, password: `anna:${PASSWORD}` });
});
afterAll(async () => {
  await endFarm();
  await proxy.close();
  await front.close();
  temporary.remove();
});

const proxyUrl = (password = PASSWORD): string => `http://anna:${password}@127.0.0.1:${proxy.port}`;
/** The manager by the name that the world has for it, with an environment for its commands. */
const studio = (env: NodeJS.ProcessEnv, url = `https://${HOST}`): { manager: Manager; env: NodeJS.ProcessEnv } => ({
  manager: { ...manager, url },
  env,
});

test("P4: an agent and the command line upload, render and download through a proxy with a password, and nothing goes around it", async () => {
  const env = { HTTPS_PROXY: proxyUrl(), TABLAO_CA: ca };
  const at = studio(env);
  const agent = await startAgent(at.manager, { args: ["--allow-exec", "--ca", ca], env: { HTTPS_PROXY: proxyUrl() } });
  await until(() => agent.said().includes("connected"), { what: "the socket is open" });

  // The output is sent in parts.
  const bytes = randomBytes(20 * 1024 * 1024);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const tex = path.join(folder, "tex");
  mkdirSync(tex);
  writeFileSync(path.join(tex, "noise.bin"), bytes);
  const blend = path.join(folder, "shot.blend");
  writeFileSync(blend, testScene());
  const sent = await tablao(at, "submit", blend, "--include", tex, "--frames", "1", "--paused");
  expect(sent.stderr + sent.stdout).toMatch(/task \d+/);
  expect(sent.code).toBe(0);

  const settings = {
    program: "/bin/sh",
    args: ["-c", 'cat "$0" "$0" > "$(dirname "$1")/twice_1.bin"', "{in:noise.bin}", "{out:any}"],
    outputs: "twice_#.bin",
    assets: [{ path: "noise.bin", sha256, size: bytes.length }],
    frames: "1",
  };
  const submitted = await tablao(at, "submit", "--type", "exec", "--settings", JSON.stringify(settings), "--json");
  expect(submitted.code, submitted.stderr).toBe(0);
  const { id } = submitted.json() as { id: number };
  expect(await untilStatus(manager, id, ["completed", "failed"])).toMatchObject({ status: "completed", lost: 0 });
  const results = path.join(folder, "results");
  const downloaded = await tablao(at, "download", String(id), results);
  expect(downloaded.code, downloaded.stderr).toBe(0);
  expect(Buffer.compare(readFileSync(path.join(results, "twice_1.bin")), Buffer.concat([bytes, bytes]))).toBe(0);

  await agent.stop();
  expect(agent.said()).not.toContain("no connection");
  expect(agent.said()).not.toContain(PASSWORD);
  expect(proxy.refused).toEqual([]);
  expect(new Set(proxy.tunnels)).toEqual(new Set([`${HOST}:443`]));
  expect(proxy.tunnels).toHaveLength(front.connections());
});

test("P9 P13: what stands in the way is told by a command in a line with what to do, without the password", async () => {
  const tasks = async (env: NodeJS.ProcessEnv, ...args: string[]): Promise<[number | null, string]> => {
    const { code, stderr } = await tablao(studio(env), "tasks", ...args);
    expect(stderr).not.toContain(PASSWORD);
    expect(stderr.trimEnd().split("\n").length).toBe(1);
    return [code, stderr];
  };
  const HTTPS_PROXY = proxyUrl();
  expect(await tasks({ HTTPS_PROXY }, "--ca", ca)).toEqual([0, expect.anything()]);
  expect(await tasks({ HTTPS_PROXY })).toEqual([
    5,
    expect.stringMatching(/no authority that this machine trusts.*--ca FILE/),
  ]);
  expect(await tasks({ HTTPS_PROXY: proxyUrl(`${PASSWORD}-not`), TABLAO_CA: ca })).toEqual([
    5,
    expect.stringMatching(/the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTPS_PROXY\) does not take the user and password/),
  ]);
  expect(await tasks({ HTTPS_PROXY: `anna:${PASSWORD}` })).toEqual([
    2,
    expect.stringMatching(/^tablao: HTTPS_PROXY is not the address of a proxy/),
  ]);
  expect(await tasks({ HTTPS_PROXY }, "--ca", path.join(folder, "no.pem"))).toEqual([
    2,
    expect.stringMatching(/^tablao: --ca .*no\.pem cannot be read: ENOENT/),
  ]);
  const worker = await tablao(studio({ HTTPS_PROXY, TABLAO_JOIN: "tablao_join_x" }), "worker", "--ca", noCertificate());
  expect([worker.code, worker.stderr]).toEqual([2, expect.stringMatching(/--ca .* holds no certificate in PEM/)]);
});

function noCertificate(): string {
  const file = path.join(folder, "not-a-certificate.pem");
  writeFileSync(file, testScene());
  return file;
}

test("NO_PROXY goes around the proxy, and the authorities of SSL_CERT_FILE count like those of the system", async () => {
  const url = `https://0.0.0.0:${front.port}`;
  const [tunnels, connections] = [proxy.tunnels.length, front.connections()];
  const env = { HTTPS_PROXY: proxyUrl(), NO_PROXY: "internal.test, 0.0.0.0/32", SSL_CERT_FILE: ca };
  const { code, stderr } = await tablao(studio(env, url), "tasks");
  expect(code, stderr).toBe(0);
  expect(proxy.tunnels).toHaveLength(tunnels);
  expect(front.connections()).toBeGreaterThan(connections);
});
