/** Hash the inputs, ask which the manager lacks, send only those. */
import { hashFile, type FileHash } from "../agent/file-hash.ts";
import { ManagerError, type ManagerClient } from "../agent/manager-client.ts";
import { FileChanged, sendAsset } from "../agent/upload.ts";
import { inLanes } from "../platform/lanes.ts";
import { missingResultSchema } from "../protocol/file.ts";
import type { Input } from "../protocol/plan.ts";
import { CliError, EXIT } from "./failure.ts";
import type { LocalInput } from "./inputs.ts";
import { showProgress } from "./progress.ts";
import { bytes, count } from "./text.ts";

/** Files at a time: small ones wait for round trips, large ones already use three connections each. */
const LANES = 3;
/** How many hashes one question may hold. */
const ASKED_AT_ONCE = 1_000;
/** An upload of hours outlives a short outage. */
const RETRY_FOR_MS = 2 * 60_000;

export interface Sent {
  assets: Input[];
  /** Bytes that travelled. */
  sentBytes: number;
  /** Files that the manager had already. */
  known: number;
}

/** Bring all inputs to the manager. Throws `ManagerError`, or `CliError` when a file changes meanwhile. */
export async function sendInputs(client: ManagerClient, inputs: readonly LocalInput[], quiet: boolean): Promise<Sent> {
  const hashes = await hashAll(inputs, quiet);
  const assets = inputs.map((input, i): Input => ({
    path: input.path,
    sha256: hashes[i]!.sha256,
    size: hashes[i]!.size,
  }));
  const missing = await missingOf(client, [...new Set(assets.map((asset) => asset.sha256))]);
  const todo = new Map<string, number>();
  for (const [index, asset] of assets.entries())
    if (missing.has(asset.sha256) && !todo.has(asset.sha256)) todo.set(asset.sha256, index);
  const total = [...todo.values()].reduce((sum, index) => sum + assets[index]!.size, 0);
  const progress = showProgress("uploading", { quiet });
  const moved = new Map<number, number>();
  const show = (): void => {
    const done = [...moved.values()].reduce((sum, part) => sum + part, 0);
    progress.update(done, total, `${bytes(done)} of ${bytes(total)}`);
  };
  let sentBytes = 0;
  try {
    if (todo.size > 0) show();
    await inLanes([...todo.values()], LANES, async (index) => {
      const asset = assets[index]!;
      const onProgress = (done: number): void => {
        moved.set(index, done);
        show();
      };
      const options = { onProgress, retryForMs: RETRY_FOR_MS };
      const { sent } = await sendAsset(client, inputs[index]!.file, hashes[index]!, options).catch((error: unknown) => {
        // 422: the bytes that came are not those that were hashed.
        if (!(error instanceof FileChanged) && !(error instanceof ManagerError && error.status === 422)) throw error;
        throw new CliError(EXIT.failed, `${asset.path} changed while it was being sent`, "Submit again.");
      });
      sentBytes += sent;
    });
  } finally {
    progress.end();
  }
  return { assets, sentBytes, known: assets.filter((asset) => !missing.has(asset.sha256)).length };
}

/** `sent 3 files (12.3 MB), 9 were there`. */
export function sentText({ assets, sentBytes, known }: Sent): string {
  const sent = assets.length - known;
  if (sent === 0) return `${count(known, "file")} on the manager already, nothing to send`;
  return `sent ${count(sent, "file")} (${bytes(sentBytes)})${known > 0 ? `, ${known} on the manager already` : ""}`;
}

async function hashAll(inputs: readonly LocalInput[], quiet: boolean): Promise<FileHash[]> {
  const progress = showProgress("reading", { quiet });
  const hashes: FileHash[] = [];
  let done = 0;
  try {
    await inLanes([...inputs.entries()], LANES, async ([index, input]) => {
      hashes[index] = await hashFile(input.file);
      progress.update(++done, inputs.length, `${done} of ${count(inputs.length, "file")}`);
    });
  } finally {
    progress.end();
  }
  return hashes;
}

async function missingOf(client: ManagerClient, hashes: string[]): Promise<Set<string>> {
  const missing = new Set<string>();
  for (let i = 0; i < hashes.length; i += ASKED_AT_ONCE) {
    const json = { sha256: hashes.slice(i, i + ASKED_AT_ONCE) };
    const answer = await client.call(missingResultSchema, "POST", "/assets/missing", { json });
    for (const sha256 of answer.missing) missing.add(sha256);
  }
  return missing;
}
