/** Chunk sizes at work: a task of uneven frames goes through the real rules, once in fixed chunks and once in chunks of its own choice. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { MAX_CHUNK, TARGET_MS } from "./chunking.ts";
import { simulateChunks } from "./testing/chunk-simulation.ts";

/** Seconds of 240 frames as Blender took them here: a calm shot, a way into foliage, a dissolve, a cut back. */
const SHOT = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, "testing/uneven-shot.json"), "utf8"),
) as number[];
const LOAD_S = 2;
