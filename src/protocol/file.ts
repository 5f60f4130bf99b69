/** Files: assets in, outputs out. */
import { z } from "zod";
import { PART_BYTES } from "./constants.ts";
import { sha256Schema } from "./fields.ts";
import { problemSchema } from "./problem.ts";

export { PART_BYTES };
/** What one PUT may carry; anything larger goes in parts. */
export const MAX_PUT_BYTES = PART_BYTES;
/** Ours: 1,000 parts. */
export const MAX_FILE_BYTES = 1_000 * PART_BYTES;

export const missingSchema = z
  .strictObject({ sha256: z.array(sha256Schema).min(1).max(1_000) })
  .meta({ id: "AssetsWanted" });
export const missingResultSchema = z.object({ missing: z.array(sha256Schema) }).meta({ id: "AssetsMissing" });

/** GET …/parts: what has arrived, so that an upload can resume. Part numbers start at 1. */
export const partsSchema = z
  .object({ parts: z.array(z.object({ number: z.int(), size: z.int(), sha256: sha256Schema })), part_bytes: z.int() })
  .meta({ id: "Parts" });

/** POST …/assemble: all parts are there; put them together and check the whole. */
export const assembleSchema = z
  .strictObject({ size: z.int().min(1).max(MAX_FILE_BYTES), sha256: sha256Schema })
  .meta({ id: "Assemble" });

export const assetSchema = z.object({ sha256: sha256Schema, size: z.int() }).meta({ id: "Asset" });

/** POST /assets: for each file, in the order of the list, the status that a PUT of it alone would have got, and why it was refused. */
export const assetsStoredSchema = z
  .object({
    assets: z.array(
      z.object({ sha256: sha256Schema, size: z.int(), status: z.int(), problem: problemSchema.optional() }),
    ),
  })
  .meta({ id: "AssetsStored" });

/** Answer to an upload of an output: goes into `done[].receipts`. */
export const receiptSchema = z
  .object({ receipt: z.string(), name: z.string(), size: z.int(), sha256: sha256Schema })
  .meta({ id: "Receipt" });

/** GET /tasks/N/files. */
export const fileListSchema = z
  .object({
    files: z.array(
      z.object({ frame: z.int(), name: z.string(), size: z.int(), sha256: sha256Schema, attempt: z.int() }),
    ),
    cursor: z.string().nullable(),
  })
  .meta({ id: "FileList" });
export type FileList = z.infer<typeof fileListSchema>;

/** A preview is beside its frame's file, under its name with this at the end. */
export const PREVIEW_SUFFIX = ".preview.jpg";
/** Its longer side has at most this many pixels. */
export const PREVIEW_PIXELS = 320;
/** Ours: a JPEG of that size takes a tenth of it. */
export const MAX_PREVIEW_BYTES = 256 * 1024;

/** Claims of a grant: who may upload under which attempt, until when, and which other task's files it may read. */
export interface Grant {
  task: number;
  lease_id: string;
  attempt: number;
  worker: number;
  input_task: number | null;
  exp_ms: number;
}

/** Claims of a receipt: these bytes were stored under that attempt, and R2 confirmed their hash. */
export interface ReceiptClaims {
  task: number;
  attempt: number;
  name: string;
  size: number;
  sha256: string;
}
