/** `POST /assets`: many small inputs in one request, each answered for itself. */
import type { z } from "zod";
import { storeBatch, type Stored } from "../files/batch.ts";
import { assetKey } from "../files/keys.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { batchField, BATCH_HEADER, MAX_BATCH_BYTES, readBatchList, type BatchFile } from "../protocol/asset-batch.ts";
import type { assetsStoredSchema } from "../protocol/file.ts";
import { PROBLEMS, refuse, type Refusal } from "../protocol/problem.ts";
import { json } from "./answers.ts";
import type { RequestContext } from "./context.ts";
import { invalidFields, problemOf, problemResponse } from "../platform/problem-response.ts";
import { readLength, refuseUpload } from "./uploads.ts";

type AssetsStored = z.infer<typeof assetsStoredSchema>;

/** POST /assets */
export async function putAssets(request: Request, { env }: RequestContext): Promise<Response> {
  const files = announced(request);
  if (!files.ok) return await refuseUpload(request, files.error);
  const uploads = files.value.map(({ sha256, size }, index) => ({
    key: assetKey(sha256),
    size,
    sha256,
    hashField: batchField(index),
  }));
  const stored = await storeBatch(env.FILES, request.body as ReadableStream<Uint8Array> | null, uploads);
  if (!stored.ok) return problemResponse(stored.error);
  const assets = files.value.map((file, index) => ({ ...file, ...answerOf(stored.value[index]!) }));
  return json({ assets } satisfies AssetsStored);
}

/** The files that the body is made of: all that can be wrong is found before it is read. */
function announced(request: Request): Result<BatchFile[], Refusal> {
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

function answerOf(stored: Stored): Pick<AssetsStored["assets"][number], "status" | "problem"> {
  if (stored.ok) return { status: stored.value.created ? 201 : 200 };
  return { status: PROBLEMS[stored.error.code].status, problem: problemOf(stored.error) };
}
