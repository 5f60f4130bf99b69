/** Puts a lease's inputs into its folder. */
import { extname, join } from "node:path";
import { fileListSchema, type FileList } from "../protocol/file.ts";
import { mapConcurrent } from "../lib/concurrency.ts";
import type { Plan } from "../protocol/plan.ts";
import { DOWNLOADS_IN_FLIGHT } from "../client/download.ts";
import { INPUT_RETRY_MS, type CachedInput, type InputCache } from "./input-cache.ts";
import type { LeaseFolder } from "./lease-folder.ts";
import { diskFull, isDiskFull } from "./release-lease.ts";
import { freeBytes } from "./machine.ts";
import { ManagerError, type ManagerClient } from "../client/manager-client.ts";

/** Files in one answer of the manager; the most it gives. */
const PAGE = 1_000;

/** An input, and where it goes in the input folder. */
export interface WantedInput extends CachedInput {
  path: string;
}

/**
 * All inputs of a plan: its assets, and the frames of another task where it names one. `grant` is
 * asked for the header with the lease's newest grant. Throws `ManagerError`.
 */
export async function listInputs(
  client: ManagerClient,
  plan: Plan,
  grant: () => Record<string, string>,
  signal: AbortSignal,
): Promise<WantedInput[]> {
  const assets = plan.inputs.map(({ path, sha256, size, pieces }) => {
    return { path, sha256, size, url: `/assets/${sha256}`, list: pieces === true, headers: grant };
  });
  if (plan.input_task === null) return assets;
  const files: FileList["files"] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const query: string = `limit=${PAGE}${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
    const page: FileList = await client.call(fileListSchema, "GET", `/tasks/${plan.input_task}/files?${query}`, {
      headers: grant(),
      signal,
      retryForMs: INPUT_RETRY_MS,
    });
    files.push(...page.files);
    cursor = page.cursor;
  }
  const frames = files.map(({ frame, name, sha256, size, pieces }, index) => ({
    // Numbered without gaps, whatever the frames were: ffmpeg reads a sequence.
    path: `${String(index + 1).padStart(6, "0")}${extname(name)}`,
    sha256,
    size,
    pieces,
    url: `/tasks/${plan.input_task}/frames/${frame}/file`,
    headers: grant,
  }));
  return [...assets, ...frames];
}

/**
 * Inputs up to this many bytes in all are copied for each lease where the file system cannot clone
 * files, when no code of a submitter runs. It takes a disk some 4 s, about as long as a renderer
 * needs to load such a scene. Without a limit, a lease of one frame that reads one file of a cache of
 * 100 GB would copy all of it.
 */
const COPIED_BYTES = 2 * 1024 ** 3;

export interface PlacingOptions {
  /** The program runs code of the submitter, which can change any file of this account. */
  runsCode: boolean;
  /** Renew the lease. A refused grant may only be an old one. */
  renew: () => Promise<void>;
}

/**
 * Put the inputs into the folder. When the disk is full, the cache removes what no lease uses,
 * once.
 */
export async function placeInputs(
  cache: InputCache,
  inputs: readonly WantedInput[],
  folder: LeaseFolder,
  signal: AbortSignal,
  { runsCode, renew }: PlacingOptions,
): Promise<void> {
  const bytes = inputs.reduce((sum, { size }) => sum + size, 0);
  const links = runsCode ? "never" : bytes > COPIED_BYTES ? "rather" : "if full";
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  let evicted: Promise<number> | undefined;
  const place = async (input: WantedInput): Promise<void> => {
    const target = join(folder.in, ...input.path.split("/"));
    try {
      await cache.place(input, target, either, links);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await (evicted ??= cache.evict("all"));
      if ((await freeBytes(folder.root)) < input.size) throw diskFull();
      await cache.place(input, target, either, links);
    }
  };
  await mapConcurrent(inputs, DOWNLOADS_IN_FLIGHT, async (input) => {
    try {
      await place(input).catch(async (error: unknown) => {
        if (!(error instanceof ManagerError) || (error.status !== 403 && error.status !== 409)) throw error;
        await renew();
        await place(input);
      });
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
}
