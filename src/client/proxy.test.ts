import { expect, test } from "vitest";
import { NetworkFault } from "./network-fault.ts";
import { proxyFor } from "./proxy.ts";

const PROXY = "http://proxy.test:3128";
const at = (url: string, env: NodeJS.ProcessEnv): string | undefined => {
  const proxy = proxyFor(new URL(url), env);
  return proxy && `${proxy.secure ? "https" : "http"} ${proxy.host} ${proxy.port} ${proxy.variable}`;
};

test("the scheme of the address says which variable counts, and lower case counts first", () => {
  const env = { https_proxy: "http://a.test:1", HTTPS_PROXY: "http://b.test:2", HTTP_PROXY: "http://c.test:3" };
  expect(at("https://farm.test", env)).toBe("http a.test 1 https_proxy");
  expect(at("http://farm.test", env)).toBe("http c.test 3 HTTP_PROXY");
  expect(at("https://farm.test", { ...env, https_proxy: "" })).toBe("http b.test 2 HTTPS_PROXY");
  // curl takes no proxy of http for https.
  expect(at("https://farm.test", { HTTP_PROXY: PROXY })).toBeUndefined();
  expect(at("https://farm.test", {})).toBeUndefined();
});

test("a proxy is given with or without scheme and port, as an IPv6 address, and by https", () => {
  for (const [value, proxy] of [
    ["proxy.test:3128", "http proxy.test 3128"],
    ["proxy.test", "http proxy.test 80"],
    ["HTTPS://proxy.test/", "https proxy.test 443"],
    [" http://[fd00::1]:8080 ", "http fd00::1 8080"],
    ["user:pass@10.1.2.3:8080", "http 10.1.2.3 8080"],
  ])
    expect(at("https://farm.test", { HTTPS_PROXY: value }), value).toBe(`${proxy} HTTPS_PROXY`);
});

test("P9: user and password are decoded into the header, and are in no text", () => {
  const env = { HTTPS_PROXY: "http://DOMAIN%5Canna:p%40ss%3Aw%C3%B6rd@proxy.test:3128" };
  const proxy = proxyFor(new URL("https://farm.test"), env)!;
  expect(proxy.authorization).toBe(`Basic ${Buffer.from("DOMAIN\\anna:p@ss:wörd").toString("base64")}`);
  expect(proxy.shown).toBe("the proxy http://proxy.test:3128 (HTTPS_PROXY)");
});

test.each(["not an address", "http://", "socks5://anna:secret@proxy.test", "http://anna:sec/ret@proxy.test:3128"])(
  "P9: a value that is no proxy (%s) is an error that names the variable and hides the value",
  (value) => {
    const ask = (): unknown => proxyFor(new URL("https://farm.test"), { HTTPS_PROXY: value });
    expect(ask).toThrow(NetworkFault);
    expect(ask).toThrow(/^HTTPS_PROXY /);
    expect(ask).not.toThrow(/anna|sec/);
  },
);

test("P9: a password with a broken % is an error that hides it", () => {
  const env = { HTTPS_PROXY: "http://anna:se%zzcret@proxy.test:3128" };
  expect(() => proxyFor(new URL("https://farm.test"), env)).toThrow(/HTTPS_PROXY has a '%'/);
  expect(() => proxyFor(new URL("https://farm.test"), env)).not.toThrow(/cret|anna/);
});

test("a variable that is not needed may hold anything", () => {
  expect(at("https://farm.test", { HTTP_PROXY: "not an address" })).toBeUndefined();
  expect(at("https://farm.test", { HTTPS_PROXY: "not an address", NO_PROXY: "farm.test" })).toBeUndefined();
});

test.each([
  "http://127.0.0.1:8787",
  "http://127.9.9.9",
  "https://localhost:8443",
  "https://a.localhost",
  "http://[::1]:8787",
])("%s is this machine, and never goes through a proxy", (url) => {
  expect(at(url, { HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY })).toBeUndefined();
});

test.each([
  ["*", "https://farm.test", true],
  ["farm.test", "https://farm.test", true],
  ["FARM.test.", "https://farm.test", true],
  ["farm.test", "https://farm.test.", true],
  ["farm.test", "https://a.farm.test", true],
  [".farm.test", "https://a.farm.test", true],
  [".farm.test", "https://farm.test", true],
  ["*.farm.test", "https://a.farm.test", true],
  ["farm.test", "https://otherfarm.test", false],
  ["arm.test", "https://farm.test", false],
  ["other.test, farm.test", "https://farm.test", true],
  ["other.test farm.test", "https://farm.test", true],
  ["farm.test:443", "https://farm.test", true],
  ["farm.test:8443", "https://farm.test", false],
  ["farm.test:8443", "https://farm.test:8443", true],
  ["10.0.0.0/8", "https://10.200.3.4:8443", true],
  ["10.0.0.0/8", "https://11.0.0.1", false],
  ["10.0.0.0/99", "https://10.0.0.1", false],
  ["10.0.0.7", "https://10.0.0.7", true],
  ["10.0.0.7:443", "https://10.0.0.7", true],
  ["0.0.7", "https://10.0.0.7", false],
  ["fd00::/8", "https://[fd12::1]", true],
  ["fd00::/8", "https://[fe80::1]", false],
  ["fd00:0::1", "https://[fd00::1]", true],
  ["[fd00::1]:8443", "https://[fd00::1]:8443", true],
  ["[fd00::1]:8443", "https://[fd00::1]", false],
  [",, ,", "https://farm.test", false],
])("NO_PROXY=%s and %s: goes around the proxy is %s", (list, url, around) => {
  expect(at(url, { HTTPS_PROXY: PROXY, no_proxy: list }) === undefined).toBe(around);
  expect(at(url, { HTTPS_PROXY: PROXY, NO_PROXY: list }) === undefined).toBe(around);
});
