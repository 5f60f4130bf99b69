/**
 * Uploads as `tablao submit` does them (hash, ask what is missing, send small files in batches,
 * verified on arrival), compared with plain PUTs of the same files by as many concurrent senders to
 * the same local bucket, through a Worker that does nothing else.
 */
import { randomFillSync } from "node:crypto";
import { mkdtempSync, openAsBlob, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ManagerClient } from "../../../src/client/manager-client.ts";
import type { LocalInput } from "../../../src/cli/inputs.ts";
import { sendInputs } from "../../../src/cli/send-inputs.ts";
import { mapConcurrent } from "../../../src/lib/concurrency.ts";
import type { Case, Row } from "../case.ts";
import { median, percent, short } from "../numbers.ts";
import { ADMIN_TOKEN, startRuntime, type Runtime } from "../runtime.ts";

const GOAL = 0.6;
/** Requests at a time, as `sendInputs` makes them. */
const CONCURRENCY = 3;

export const uploads: Case = {
  name: "uploads",
  async run(progress) {
    const runtime = await startRuntime();
    const folder = mkdtempSync(path.join(tmpdir(), "tablao-bench-files-"));
    try {
      progress("1,000 files of 10 kB");
      const small = await compare(runtime, folder, { files: 1_000, bytes: 10_000, rounds: 3 });
      progress("4 files of 250 MB");
      const large = await compare(runtime, folder, { files: 4, bytes: 250_000_000, rounds: 1 });
      return [small, large];
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await runtime.stop();
    }
  },
};

async function compare(
  runtime: Runtime,
  folder: string,
  { files, bytes, rounds }: { files: number; bytes: number; rounds: number },
): Promise<Row> {
  let requests = 0;
  const counting: typeof fetch = async (input, init) => {
    requests++;
    return await fetch(input, init);
  };
  const client = new ManagerClient({ url: runtime.manager.origin, secret: ADMIN_TOKEN, fetch: counting });
  const megabytes = (files * bytes) / 1e6;
  const ours: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const inputs = makeFiles(folder, `${bytes}-${round}`, files, bytes);
    const send = async (): Promise<void> => {
      const began = performance.now();
      await sendInputs(client, inputs, true);
      ours.push((performance.now() - began) / 1_000);
    };
    const put = async (): Promise<void> => {
      const began = performance.now();
      await mapConcurrent(inputs, CONCURRENCY, async ({ path: name, file }) => {
        const body = await openAsBlob(file);
        const response = await fetch(new URL(`/${name}`, runtime.bare), { method: "PUT", body });
        if (!response.ok) throw new Error(`PUT answered ${response.status}`);
      });
      plain.push((performance.now() - began) / 1_000);
    };
    // Alternate: the second one finds the files in the machine's memory.
    await (round % 2 === 0 ? put().then(send) : send().then(put));
    for (const { file } of inputs) rmSync(file);
  }
  const ratio = median(ours.map((seconds, round) => plain[round]! / seconds));
  const speed = (seconds: number[]): string => `${short(megabytes / median(seconds))} MB/s`;
  return {
    what: `uploads: ${files.toLocaleString("en-US")} files of ${bytes < 1e6 ? `${bytes / 1e3} kB` : `${bytes / 1e6} MB`}`,
    figure: percent(ratio),
    goal: "≥ 60 % of plain PUTs",
    reached: ratio >= GOAL,
    detail: `${speed(ours)} against ${speed(plain)}, ${CONCURRENCY} at a time; ours hashes them, asks what is missing, has each hash verified on arrival, and makes ${Math.round(requests / rounds)} requests of it`,
  };
}

function makeFiles(folder: string, name: string, files: number, bytes: number): LocalInput[] {
  const content = Buffer.allocUnsafe(bytes);
  return Array.from({ length: files }, (_, n) => {
    // A megabyte of random bytes makes every file different.
    randomFillSync(content, 0, Math.min(bytes, 1_000_000));
    const file = path.join(folder, `${name}-${n}`);
    writeFileSync(file, content);
    return { path: `${name}-${n}`, file };
  });
}
