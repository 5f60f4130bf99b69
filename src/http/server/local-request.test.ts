import { expect, it } from "vitest";
import { asReceived } from "./local-request.ts";
import { clientAddress } from "./request.ts";

const GATE = "Tablao-Gate";

it("P9: a client cannot say what address it has, nor what a proxy would say of it", () => {
  const forged = {
    "CF-Connecting-IP": "6.6.6.6",
    "CF-Connecting-IPv6": "2001:db8::6",
    "CF-Ray": "1",
    "MF-Original-URL": "http://evil.example/",
    "MF-Route-Override": "other",
    "MF-CF-Blob": "{}",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
    Forwarded: "for=6.6.6.6",
    [GATE]: "secret",
  };
  const kept = { authorization: "Bearer t", "content-type": "application/json", range: "bytes=0-1", "x-other": "1" };
  const request = new Request("http://manager:1/tasks?a=b", { headers: { ...forged, ...kept } });
  const received = asReceived(request, "203.0.113.7:4711", GATE);
  expect(Object.fromEntries(received.headers)).toEqual({ ...kept, "cf-connecting-ip": "203.0.113.7" });
  expect(received.url).toBe("http://manager:1/tasks?a=b");
});

it.each([
  ["127.0.0.1:80", "127.0.0.1"],
  ["[::1]:4711", "::1"],
  ["[fe80::1%eth0]:4711", "fe80::1%eth0"],
  ["[::ffff:192.0.2.1]:4711", "192.0.2.1"],
  ["unix:/run/x", "127.0.0.1"],
  ["", "127.0.0.1"],
  [undefined, "127.0.0.1"],
])("the caller behind the connection %j is %s", (peer, address) => {
  const request = new Request("http://manager/", { headers: { "CF-Connecting-IP": "6.6.6.6" } });
  expect(clientAddress(asReceived(request, peer, GATE))).toBe(address);
});

it("method and body pass", async () => {
  const request = new Request("http://manager/tasks", { method: "POST", body: "{}", headers: { "x-real-ip": "1" } });
  const received = asReceived(request, "127.0.0.1:1", GATE);
  expect([received.method, await received.text()]).toEqual(["POST", "{}"]);
});
