import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ManagerError } from "../client/manager-client.ts";
import { configFile, connect, explain, findAddress, findUrl, writeConfig } from "./connection.ts";
import { CliError, EXIT } from "./failure.ts";
import { writeRecord } from "./manager-record.ts";

let home: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), "tablao-config-"));
  env = { XDG_CONFIG_HOME: home };
});
afterEach(() => rmSync(home, { recursive: true }));

const FARM = { url: "https://farm.example.com", token: "of-farm" };

test("flags override the environment, and the environment overrides what login stored", () => {
  const file = writeConfig(env, FARM);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(findAddress({}, env)).toEqual(FARM);
  const both = { ...env, TABLAO_URL: "http://127.0.0.1:1", TABLAO_TOKEN: "of-env" };
  expect(findAddress({}, both)).toEqual({ url: "http://127.0.0.1:1", token: "of-env" });
  expect(findAddress({ manager: "http://127.0.0.1:2/", token: "of-flag" }, both)).toEqual({
    url: "http://127.0.0.1:2",
    token: "of-flag",
  });
  expect(findAddress({ token: "of-flag" }, env)).toEqual({ url: FARM.url, token: "of-flag" });
});

test("P9: a token stored for one manager is never sent to another", () => {
  writeConfig(env, FARM);
  expect(findAddress({ manager: "https://evil.example.com" }, env).token).toBeUndefined();
  expect(findAddress({ manager: "https://farm.example.com:8443" }, env).token).toBeUndefined();
  expect(findAddress({ manager: "http://farm.example.com" }, env).token).toBeUndefined();
  expect(findAddress({ manager: "https://FARM.example.com/" }, env).token).toBe("of-farm");
  expect(findAddress({}, { ...env, TABLAO_URL: "https://evil.example.com" }).token).toBeUndefined();
  const named = { ...env, TABLAO_URL: "http://127.0.0.1:1", TABLAO_TOKEN: "of-env" };
  expect(findAddress({ manager: "https://evil.example.com" }, named).token).toBeUndefined();
  // Without an address of its own, TABLAO_TOKEN is used with any address.
  expect(findAddress({ manager: "http://127.0.0.1:2" }, { ...env, TABLAO_TOKEN: "of-env" }).token).toBe("of-env");
});

/** What a call throws: text and advice, on one line. */
function failureOf(act: () => unknown): { exitCode: number; text: string } {
  try {
    act();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(CliError);
    const { exitCode, message, hint } = thrown as CliError;
    return { exitCode, text: `${message}. ${hint ?? ""}` };
  }
  throw new Error("nothing was thrown");
}

/** Faults of a file, and what is said of each. */
const FAULTS: [name: string, make: (file: string) => void, why: string][] = [
  ["a folder", (file) => mkdirSync(file, { recursive: true }), "it is a folder"],
  ["no JSON", (file) => writeFileSync(file, "{"), "it is no JSON"],
  ["JSON of something else", (file) => writeFileSync(file, '{"url":1}'), "it holds no address and token"],
];

describe.each(FAULTS)("a file that is %s", (_, make, why) => {
  test("P10: as the file of login: named where it is needed; flags and variables work without it", () => {
    const file = configFile(env);
    mkdirSync(path.dirname(file), { recursive: true });
    make(file);
    const failure = failureOf(() => findAddress({}, env));
    expect(failure.text).toContain(file);
    expect(failure.text).toContain(why);
    expect(failure.exitCode).toBe(EXIT.usage);
    const variables = { ...env, TABLAO_URL: FARM.url, TABLAO_TOKEN: "of-env" };
    expect(findAddress({}, variables)).toEqual({ url: FARM.url, token: "of-env" });
    expect(findAddress({ manager: FARM.url, token: "of-flag" }, env)).toEqual({ url: FARM.url, token: "of-flag" });
    // `tablao login URL` writes the file anew.
    expect(findUrl({ manager: FARM.url }, env)).toBe(FARM.url);
  });

  test("P10: as the record of npm start: named where it is needed; flags, variables and login work without it", () => {
    const record = path.join(home, "manager.json");
    make(record);
    const failure = failureOf(() => findAddress({}, env, record));
    expect(failure.text).toContain(record);
    expect(failure.text).toContain(why);
    const variables = { ...env, TABLAO_URL: FARM.url, TABLAO_TOKEN: "of-env" };
    expect(findAddress({}, variables, record)).toEqual({ url: FARM.url, token: "of-env" });
    writeConfig(env, FARM);
    expect(findAddress({}, env, record)).toEqual(FARM);
    expect(() => writeRecord(record, { ...FARM, pid: 1, state: home, started_ms: 1 }, false)).not.toThrow(SyntaxError);
  });
});

test.each(["one\ntwo", "one\r", "one two", "", "ü", "\u0000"])("P9: the token %j is refused and not shown", (text) => {
  const secret = `tablao_artist_A${text}B`;
  const bad = text === "" ? " " : secret;
  const where: [string, () => unknown][] = [
    ["--token", () => connect({ manager: FARM.url, token: bad }, env)],
    ["TABLAO_TOKEN", () => connect({}, { ...env, TABLAO_URL: FARM.url, TABLAO_TOKEN: bad })],
    [configFile(env), () => connect({}, (writeConfig(env, { url: FARM.url, token: bad }), env))],
  ];
  for (const [door, act] of where) {
    const failure = failureOf(act);
    expect(failure.text).toContain(door);
    expect(failure.text).toMatch(/line break|blank|character/);
    expect(failure.text).not.toContain("tablao_artist");
    expect(failure.exitCode).toBe(EXIT.usage);
  }
});

test("an invalid address is a usage error", () => {
  expect(() => findAddress({ manager: "farm" }, env)).toThrow(expect.objectContaining({ exitCode: EXIT.usage }));
});

test.each([
  [0, "unreachable", EXIT.unreachable],
  [0, "bad_answer", EXIT.unreachable],
  [0, "foreign", EXIT.unreachable],
  [401, "unauthorized", EXIT.auth],
  [403, "forbidden", EXIT.auth],
  [404, "not_found", EXIT.notFound],
  [409, "conflict", EXIT.refused],
  [422, "invalid", EXIT.refused],
  [429, "rate_limited", EXIT.unreachable],
  [503, "not_configured", EXIT.unreachable],
])("a %i %s is exit code %i", (status, code, exitCode) => {
  expect(explain(new ManagerError(status, code, "why")).exitCode).toBe(exitCode);
});

test.each([
  ["n: must be one", [{ field: "n", message: "must be one" }], "n: must be one"],
  ["must be one", [{ field: "n", message: "must be one" }], "n: must be one"],
  ["There is no type 'x'", [{ field: "type", message: "There is no type 'x'" }], "There is no type 'x'"],
  [
    "a: is odd (and 1 more)",
    [
      { field: "a", message: "is odd" },
      { field: "b", message: "is even" },
    ],
    "a: is odd (and 1 more) (b: is even)",
  ],
])("a refusal says nothing twice: %s", (detail, errors, message) => {
  expect(new ManagerError(422, "invalid", detail, errors).message).toBe(message);
});

test("a refusal names the fields", () => {
  const error = new ManagerError(422, "invalid", "The request breaks a rule", [
    { field: "settings.samples", message: "must be at least 1" },
  ]);
  expect(explain(error).message).toContain("settings.samples: must be at least 1");
});
