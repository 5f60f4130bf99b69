/**
 * `POST /assets`: many small inputs in one request. Each is stored or refused, whatever becomes of
 * the others.
 */
import type { z } from "zod";
import { storeBatch, type Stored } from "../../files/batch.ts";
import { assetKey } from "../../files/keys.ts";
import { noteStored } from "../../files/stored-inputs.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { invalidFields, problemOf } from "../../platform/problem-response.ts";
import {
  batchField,
  BATCH_HEADER,
  MAX_BATCH_BYTES,
  MAX_BATCH_FILES,
  readBatchList,
  type BatchFile,
} from "../../protocol/asset-batch.ts";
import { assetsStoredSchema } from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import { PROBLEMS, refuse, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { defineRoute, SUBMITTERS } from "../server/route.ts";
import { LENGTH_HEADER, readLength } from "../uploads.ts";

type AssetsStored = z.infer<typeof assetsStoredSchema>;

const batchHeader: HeaderDescription = {
  name: BATCH_HEADER,
  description: "The files that the body is made of, in order: `<sha256>:<bytes>`, with commas between",
  required: true,
  pattern: "^[0-9a-f]{64}:[0-9]+( *, *[0-9a-f]{64}:[0-9]+)*$",
};

export const putAssets = defineRoute({
  method: "POST",
  path: "/assets",
  operationId: "putAssets",
  tag: "assets",
  summary: "Upload many small assets",
  description:
    `Their bytes, one after the other: at most ${MAX_BATCH_FILES} files and ${MAX_BATCH_BYTES} bytes. Each is stored, or refused, ` +
    "whatever becomes of the others; `status` and `problem` say what a PUT of it alone would have answered.",
  who: SUBMITTERS,
  headers: [batchHeader, LENGTH_HEADER],
  upload: true,
  answers: { 200: { description: "What became of each", schema: assetsStoredSchema } },
  problems: ["invalid_request", "invalid", "length_required", "too_large", "unsupported_media_type"],
  handle: async ({ request, env }) => {
    const files = announcedFiles(request);
    if (!files.ok) return files;
    const uploads = files.value.map(({ sha256, size }, index) => ({
      key: assetKey(sha256),
      size,
      sha256,
      hashField: batchField(index),
    }));
    const beganMs = Date.now();
    const stored = await storeBatch(env.FILES, request.body as ReadableStream<Uint8Array> | null, uploads);
    if (!stored.ok) return stored;
    const outcomes = await noteEach(env, files.value, stored.value, beganMs);
    return ok({ assets: files.value.map((file, index) => ({ ...file, ...answerOf(outcomes[index]!) })) });
  },
});

/**
 * Note the files that are stored, all in one statement. The batch began at `beganMs`. Answers with the
 * outcome for each file.
 */
async function noteEach(
  env: Env,
  files: readonly BatchFile[],
  stored: readonly Stored[],
  beganMs: number,
): Promise<Stored[]> {
  const there = files.filter((_, index) => stored[index]!.ok);
  const refused = await noteStored(env, there, beganMs, Date.now);
  return files.map(({ sha256 }, index) => {
    const refusal = refused.get(sha256);
    return refusal ? err(refusal) : stored[index]!;
  });
}

/**
 * The files that the body is made of, from its headers: what is wrong with them is found before the
 * body is read.
 */
function announcedFiles(request: Request): Result<BatchFile[], Refusal> {
  const length = readLength(request, MAX_BATCH_BYTES, `A batch takes ${MAX_BATCH_BYTES} bytes at most.`);
  if (!length.ok) return length;
  const files = readBatchList(request.headers.get(BATCH_HEADER));
  if (!files.ok) return err(invalidFields(files.error));
  const bytes = files.value.reduce((sum, { size }) => sum + size, 0);
  if (bytes !== length.value) {
    const detail = `The files in ${BATCH_HEADER} have ${bytes} bytes together, but Content-Length is ${length.value}.`;
    return refuse("invalid", detail, BATCH_HEADER);
  }
  return ok(files.value);
}

/** What a PUT of this file alone would have answered. */
function answerOf(stored: Stored): Pick<AssetsStored["assets"][number], "status" | "problem"> {
  if (stored.ok) return { status: stored.value.created ? 201 : 200 };
  return { status: PROBLEMS[stored.error.code].status, problem: problemOf(stored.error) };
}
