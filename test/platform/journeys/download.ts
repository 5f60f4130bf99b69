/** A task's frames come down: one by one with the command line, and as one file as the page does. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import type { Ground } from "../ground.ts";
import { submitDemo } from "./render.ts";

const FRAMES = 5;
/** A download that makes no progress so often is given up. */
const TRIES = 20;

async function rendered(ground: Ground): Promise<number> {
  await ground.agent("renderer");
  const id = await submitDemo(ground, FRAMES);
  await ground.untilCompleted(id);
  return id;
}

export async function download(ground: Ground): Promise<void> {
  const id = await rendered(ground);
  await ground.midway();
  const to = path.join(ground.folder, "frames");
  await ground.command("download", String(id), to);
  expect(readdirSync(to).toSorted()).toEqual((await ground.files(id)).map(({ name }) => name));
}

export async function zip(ground: Ground): Promise<void> {
  const id = await rendered(ground);
  await ground.midway();
  const bytes = await fetchWhole(ground, `/tasks/${id}/zip`);
  const to = path.join(ground.folder, "frames");
  await ground.command("download", String(id), to);
  // Nothing is compressed in it, so each file's bytes are in it as they are.
  for (const { name } of await ground.files(id)) {
    expect(bytes.includes(readFileSync(path.join(to, name)))).toBe(true);
    expect(bytes.includes(Buffer.from(name))).toBe(true);
  }
}

/** Fetch a file as a browser does: what breaks off is continued where the manager allows it. */
async function fetchWhole(ground: Ground, address: string): Promise<Buffer> {
  const { url, token } = ground.manager;
  const chunks: Uint8Array[] = [];
  let size = Infinity;
  let etag = "";
  for (let tries = 0; tries < TRIES; tries++) {
    const have = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    if (have === size) return Buffer.concat(chunks);
    const range = have > 0 ? { range: `bytes=${have}-`, "if-range": etag } : undefined;
    const response = await fetch(url + address, { headers: { authorization: `Bearer ${token}`, ...range } });
    if (response.status >= 400) {
      await response.arrayBuffer();
      continue;
    }
    if (have > 0 && response.status !== 206) throw new Error(`${address} broke off and cannot be resumed`);
    if (have === 0) size = Number(response.headers.get("content-length"));
    etag = response.headers.get("etag") ?? "";
    try {
      for await (const chunk of response.body!) chunks.push(chunk);
    } catch {
      // The next try goes on from here.
    }
  }
  throw new Error(`${address} did not arrive in ${TRIES} tries`);
}
