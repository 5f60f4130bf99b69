/**
 * The program that a manager serves: the command line and the agent in one file. A machine without a checkout
 * fetches it, and an agent that runs another one than its manager serves renews itself with it.
 */
import { z } from "zod";
import { sha256Schema } from "./fields.ts";

/** The file's name, at the manager's address and on the machines that fetched it. */
export const PROGRAM_NAME = "tablao.mjs";
/** The same with gzip, a third of its size: what machines fetch. Not every curl can ask for a compressed answer. */
export const PROGRAM_GZIP_NAME = "tablao.mjs.gz";
/** The name of the record that tells what the file is. */
export const PROGRAM_RECORD_NAME = "tablao.json";

/** No build comes near it; a larger file is none of ours. */
const MAX_PROGRAM_BYTES = 50_000_000;

/** The record: the version of the release, and size and SHA-256 (hexadecimal) of the file, uncompressed. */
export const programRecordSchema = z.object({
  version: z.string().max(100),
  sha256: sha256Schema,
  bytes: z.int().min(1).max(MAX_PROGRAM_BYTES),
});
export type ProgramRecord = z.infer<typeof programRecordSchema>;

/** How many characters of the hash are in the name of an installed program: enough that two never meet. */
const HASH_IN_NAME = 16;

/** The name of the program's file on a machine that installed it. */
export function programFileName(sha256: string): string {
  return `tablao-${sha256.slice(0, HASH_IN_NAME)}.mjs`;
}

/** PUT /workers/{id}/program: which program the worker runs, and how it went. */
export const programReportSchema = z
  .strictObject({
    sha256: sha256Schema,
    /** It has finished a lease with this program. */
    proven: z.boolean().default(false),
    /** The program that it last went back from: it did not come up, or ended by itself. */
    failed_sha256: sha256Schema.nullable().default(null),
  })
  .meta({ id: "ProgramReport" });
export type ProgramReport = z.infer<typeof programReportSchema>;

/**
 * The answer. `update`: the program that the worker is to renew itself with now; null: none. `why`: why it may
 * not yet, for people. `retry_after_ms`: when to ask again while the manager serves another program.
 */
export const programReportedSchema = z
  .object({
    update: programRecordSchema.nullable(),
    why: z.string().nullable(),
    retry_after_ms: z.int().min(1_000).max(86_400_000),
  })
  .meta({ id: "ProgramReported" });
export type ProgramReported = z.infer<typeof programReportedSchema>;
