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
