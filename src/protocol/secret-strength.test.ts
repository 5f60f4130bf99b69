import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { weakSecret } from "./secret-strength.ts";

/** The same bytes in each run. */
function bytes(seed: number, count: number): Buffer {
  return createHash("sha512").update(`seed ${seed}`).digest().subarray(0, count);
}

test.each([
  "",
  "a",
  "admin",
  "hunter2",
  "correct-horse",
  "password".repeat(60),
  "PASSWORDPassWord".repeat(10),
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "ababababababababababababababababababababababababab",
  "xyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxyz",
  "k7Pq".repeat(100),
  "0123456789".repeat(5),
  "abcdefghijklmnopqrstuvwxyz0123456789",
  "zyxwvutsrqponmlkjihgfedcba9876543210",
  "qwertyuiopasdfghjklzxcvbnm",
  "tablao-admin-token-of-the-render-farm",
  "test-admin-token-0123456789abcdef",
  "changeme-changeme-changeme-changeme",
  "f3a9c1d07b2e4f5a6c8d1e0b7a9",
])("P9: %j is too weak, and the answer says how to make a good one", (token) => {
  expect(weakSecret("TABLAO_ADMIN_TOKEN", token)).toMatch(/^TABLAO_ADMIN_TOKEN is too easy .*openssl rand -hex 32/);
});

test("what programs make at random is strong enough", () => {
  for (let seed = 0; seed < 2_000; seed++) {
    expect(weakSecret("T", bytes(seed, 16).toString("hex")), "hex").toBeNull();
    expect(weakSecret("T", bytes(seed, 18).toString("base64")), "base64").toBeNull();
    expect(weakSecret("T", `tablao_admin_${bytes(seed, 32).toString("base64url")}`), "ours").toBeNull();
  }
});

test("a sentence of many words is strong enough", () => {
  expect(weakSecret("T", "violet-harbour-seven-lanterns-drift-north")).toBeNull();
});

test("a long secret is judged in no time", () => {
  const startMs = performance.now();
  weakSecret("T", bytes(1, 64).toString("hex").repeat(40).slice(0, 5_000));
  weakSecret("T", "ab".repeat(2_500));
  expect(performance.now() - startMs).toBeLessThan(120_000);
});
