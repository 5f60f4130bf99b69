/** The example receiver with the manager's requests. */
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReceiver, isSigned } from "../../examples/webhook-receiver.mjs";
import { signatureOf } from "../../src/registry/webhook-rules.ts";

const SECRET = "whsec_example";
const handled: string[] = [];
const server = createReceiver(SECRET, (event, task) => void handled.push(`${event} ${task.id}`));
let url = "";

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => void server.close());

const body = (id: number): string => JSON.stringify({ id, event: "task.completed", at_ms: 1, task: { id: 7 } });

async function send(text: string, signature: string): Promise<number> {
  const answer = await fetch(url, { method: "POST", body: text, headers: { "Tablao-Signature": signature } });
  return answer.status;
}

test("accepts what the manager signed, once for each delivery", async () => {
  expect(await send(body(1), await signatureOf(SECRET, body(1), Date.now()))).toBe(204);
  expect(await send(body(1), await signatureOf(SECRET, body(1), Date.now()))).toBe(204);
  expect(await send(body(2), await signatureOf(SECRET, body(2), Date.now()))).toBe(204);
  expect(handled).toEqual(["task.completed 7", "task.completed 7"]);
});

test("refuses another secret, another body, an old signature and none", async () => {
  const before = handled.length;
  expect(await send(body(3), await signatureOf("whsec_other", body(3), Date.now()))).toBe(401);
  expect(await send(body(3), await signatureOf(SECRET, body(4), Date.now()))).toBe(401);
  expect(await send(body(3), await signatureOf(SECRET, body(3), Date.now() - 3_600_000))).toBe(401);
  expect(await send(body(3), "t=1,v1=00")).toBe(401);
  expect((await fetch(url, { method: "POST", body: body(3) })).status).toBe(401);
  expect(handled).toHaveLength(before);
});

test("a signature is valid for its own time and text only", async () => {
  const nowMs = 1_700_000_000_000;
  const signature = await signatureOf(SECRET, "{}", nowMs);
  expect(isSigned(SECRET, signature, "{}", nowMs / 1_000 + 299)).toBe(true);
  expect(isSigned(SECRET, signature, "{}", nowMs / 1_000 + 301)).toBe(false);
  expect(isSigned(SECRET, signature, "{} ", nowMs / 1_000)).toBe(false);
});
