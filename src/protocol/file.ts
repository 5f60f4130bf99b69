/** Files: the assets that submitters upload, and the outputs that workers upload. */
import { z } from "zod";
import { arrayOf } from "./bounded.ts";
import { MAX_FILE_BYTES, PART_BYTES } from "./constants.ts";
import { crc32Schema, instantSchema, sha256Schema } from "./fields.ts";
import { problemSchema } from "./problem-schema.ts";

export { MAX_FILE_BYTES, PART_BYTES };
/**
 * The most bytes of one PUT; a larger file goes in parts. A reader tells by its size whether a file
 * may be stored in parts, so with another value stored files would be read wrongly.
 */
export const MAX_PUT_BYTES = PART_BYTES;

/**
 * Header of the request that completes an output (its PUT, or `assemble`): the CRC-32 of the file.
 * With another name, the manager would not find the CRC-32s of agents of other versions, and make a
 * tar where it could make a zip.
 */
export const CRC_HEADER = "Tablao-CRC32";

/**
 * POST /assets/missing: hashes of the files that a submitter has. A manager up to version 0.1
 * refuses `piece_lists`.
 */
export const missingSchema = z
  .strictObject({
    sha256: arrayOf(sha256Schema, 1_000).min(1),
    piece_lists: arrayOf(sha256Schema, 1_000)
      .optional()
      .meta({ description: "Those of `sha256` that must be piece lists, with all their pieces stored" }),
  })
  .superRefine(({ sha256, piece_lists = [] }, context) => {
    const all = new Set(sha256);
    for (const [index, list] of piece_lists.entries())
      if (!all.has(list))
        context.addIssue({ code: "custom", path: ["piece_lists", index], message: "must be in `sha256`, too" });
  })
  .meta({ id: "AssetsWanted" });
/**
 * The answer: those of the hashes whose files are not stored yet, or not as the piece lists that
 * they must be.
 */
export const missingResultSchema = z.object({ missing: z.array(sha256Schema) }).meta({ id: "AssetsMissing" });

/**
 * GET …/parts: the parts that have arrived, so that an upload can resume. Part numbers start at 1;
 * `size` and `part_bytes` are in bytes.
 */
export const partsSchema = z
  .object({ parts: z.array(z.object({ number: z.int(), size: z.int(), sha256: sha256Schema })), part_bytes: z.int() })
  .meta({ id: "Parts" });

/**
 * POST …/assemble, after all parts have arrived: put them together and check the size (bytes) and
 * the hash of the file.
 */
export const assembleSchema = z
  .strictObject({ size: z.int().min(1).max(MAX_FILE_BYTES), sha256: sha256Schema })
  .meta({ id: "Assemble" });

/** The answer to an upload of an asset: its hash and its size in bytes. */
export const assetSchema = z.object({ sha256: sha256Schema, size: z.int() }).meta({ id: "Asset" });

/**
 * The answer to PUT …/pieces: the hash of the piece list, the size of its text, and that of the file
 * it stands for (`whole`), in bytes.
 */
export const pieceListSchema = z
  .object({ sha256: sha256Schema, size: z.int(), whole: z.int(), pieces: z.int() })
  .meta({ id: "PieceList" });

/**
 * POST /assets: for each file, in the order of the list, the status that a PUT of this file alone
 * would get. `problem` says why a file was refused.
 */
export const assetsStoredSchema = z
  .object({
    assets: z.array(
      z.object({ sha256: sha256Schema, size: z.int(), status: z.int(), problem: problemSchema.optional() }),
    ),
  })
  .meta({ id: "AssetsStored" });

/**
 * The answer to an upload of an output. `receipt` is the signed text that goes into
 * `done[].receipts`. `pieces`: what the manager has checked of a file in parts, instead of `sha256`.
 */
export const receiptSchema = z
  .object({
    receipt: z.string(),
    name: z.string(),
    size: z.int(),
    sha256: sha256Schema,
    pieces: sha256Schema.optional(),
  })
  .meta({ id: "Receipt" });

/**
 * GET /tasks/N/files: committed files in frame order, with the attempt under which each is stored.
 * `cursor` is null on the last page. `crc32` is absent where the agent sent none, and older managers
 * send no `committed_ms`. `pieces` is the hash of the list of the parts of a file above 32 MiB
 * (`piece-list.ts`), which the manager has checked; where it is there, `sha256` is only what the
 * worker said.
 */
export const fileListSchema = z
  .object({
    files: z.array(
      z.object({
        frame: z.int(),
        name: z.string(),
        size: z.int(),
        sha256: sha256Schema,
        crc32: crc32Schema.optional(),
        pieces: sha256Schema.optional(),
        attempt: z.int(),
        committed_ms: instantSchema.optional(),
      }),
    ),
    cursor: z.string().nullable(),
  })
  .meta({ id: "FileList" });
/** One page of a task's committed files. */
export type FileList = z.infer<typeof fileListSchema>;

/**
 * The name of a frame's preview is the name of the frame's file with this at the end. Stored
 * previews have it, and agent and manager must agree: with another suffix the manager would refuse
 * the previews of older agents.
 */
export const PREVIEW_SUFFIX = ".preview.jpg";
/**
 * The longer side of a preview has at most this many pixels. With more, a page with many previews
 * takes longer to load; with fewer, the pictures look blurred.
 */
export const PREVIEW_PIXELS = 320;
/**
 * The most bytes of a preview; a JPEG of PREVIEW_PIXELS takes a tenth of it. The limit is our own:
 * without it, a worker could send a whole frame as a preview.
 */
export const MAX_PREVIEW_BYTES = 256 * 1024;

/**
 * Claims of a grant: who may upload under which attempt, until when (`exp_ms`, an instant), and
 * which other task's files the worker may read (`input_task`; null for none).
 */
export interface Grant {
  task: number;
  lease_id: string;
  attempt: number;
  worker: number;
  input_task: number | null;
  exp_ms: number;
}

/**
 * The request header that carries a grant. The platform does not log the value of a header with
 * "token" in its name (`test/docs/logged-headers.test.ts`).
 */
export const GRANT_HEADER = "Tablao-Grant-Token";
/**
 * Its name up to version 0.1, whose value the platform logged. Managers take it from older agents
 * until version 0.3.
 */
export const OLD_GRANT_HEADER = "Tablao-Grant";

/**
 * Claims of a receipt: a file with this name, size (bytes) and hash was stored under that attempt.
 * R2 confirmed the hash: `sha256`, or where it is there, `pieces`, the hash of the list of the parts
 * of the file, of which R2 confirmed each. Nobody has confirmed `sha256` then, nor ever `crc32`:
 * they are what the agent said. `crc32` is absent where the agent said nothing.
 */
export interface ReceiptClaims {
  task: number;
  attempt: number;
  name: string;
  size: number;
  sha256: string;
  crc32?: string;
  pieces?: string;
}
