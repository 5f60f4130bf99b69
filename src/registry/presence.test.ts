import { describe, expect, it } from "vitest";
import { OFFLINE_AFTER_MS } from "../protocol/worker.ts";
import { HTTP_ONLINE_MS, isOnline, lastSeenMs, workerStatus, type Signs } from "./presence.ts";

const NOW = 10_000_000;
const signs = (change: Partial<Signs>): Signs => ({
  socketMs: null,
  contactMs: 0,
  leftMs: null,
  liveLease: false,
  ...change,
});

describe("presence", () => {
  it.each([
    ["a request a minute ago", signs({ contactMs: NOW - HTTP_ONLINE_MS }), false],
    ["a request just short of that", signs({ contactMs: NOW - HTTP_ONLINE_MS + 1 }), true],
    ["three pings missed", signs({ socketMs: NOW - OFFLINE_AFTER_MS }), false],
    ["a ping just short of that", signs({ socketMs: NOW - OFFLINE_AFTER_MS + 1 }), true],
    ["a live lease alone", signs({ liveLease: true }), true],
    [
      "a goodbye with everything else still warm",
      signs({ contactMs: NOW - 5, leftMs: NOW - 5, socketMs: NOW - 6, liveLease: true }),
      false,
    ],
    ["a ping after the goodbye", signs({ leftMs: NOW - 5, socketMs: NOW - 4 }), true],
    ["nothing at all", signs({}), false],
  ])("with %s", (_what, given, online) => {
    expect(isOnline(given, NOW)).toBe(online);
  });

  it("was last seen at its newest contact", () => {
    expect(lastSeenMs({ socketMs: 5, contactMs: 3 })).toBe(5);
    expect(lastSeenMs({ socketMs: null, contactMs: 3 })).toBe(3);
  });

  it("has the documented status: switched off first, rendering by lease or by its own report", () => {
    expect(workerStatus({ enabled: false, liveLease: true, saidRendering: true })).toBe("disabled");
    expect(workerStatus({ enabled: true, liveLease: true, saidRendering: false })).toBe("rendering");
    expect(workerStatus({ enabled: true, liveLease: false, saidRendering: true })).toBe("rendering");
    expect(workerStatus({ enabled: true, liveLease: false, saidRendering: false })).toBe("enabled");
  });
});
