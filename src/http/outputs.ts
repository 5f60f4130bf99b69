/**
 * Outputs: `/tasks/{id}/outputs/{name}`, from a worker with the grant of its lease. No object is asked: the grant says the attempt,
 * R2 checks the bytes, and the signed receipt is what the task commits by (P3).
 */
import type { z } from "zod";
import { signReceipt } from "../files/grant.ts";
import { outputKey } from "../files/keys.ts";
import { storeOnce } from "../files/store.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { signingKey } from "../platform/signing.ts";
import { fieldErrors } from "../protocol/field-errors.ts";
import { fileNameSchema } from "../protocol/fields.ts";
import type { Grant, receiptSchema } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { json } from "./answers.ts";
import type { RequestContext } from "./context.ts";
import { writeGrant } from "./grants.ts";
import { invalidFields, problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";
import { answerParts, assembleUpload, readUpload, refuseUpload, takePart } from "./uploads.ts";

interface Target {
  key: string;
  name: string;
  grant: Grant;
}

/** Where the upload goes: checks the path and the grant. */
async function targetOf(request: Request, context: RequestContext): Promise<Result<Target, Refusal>> {
  const id = idFrom(context.params["id"]);
  if (id === null) return refuse("not_found", "There is no such task.");
  const name = fileNameSchema.safeParse(context.params["name"] ?? "");
  if (!name.success) return err(invalidFields(fieldErrors(name.error.issues, ["name"])));
  const grant = await writeGrant(request, context, id);
  if (!grant.ok) return grant;
  return ok({ key: outputKey(id, grant.value.attempt, name.data), name: name.data, grant: grant.value });
}

async function answerReceipt(
  { env }: RequestContext,
  { name, grant }: Target,
  size: number,
  sha256: string,
): Promise<Response> {
  const receipt = await signReceipt(await signingKey(env), {
    task: grant.task,
    attempt: grant.attempt,
    name,
    size,
    sha256,
  });
  return json({ receipt, name, size, sha256 } satisfies z.infer<typeof receiptSchema>, 201);
}

/** PUT /tasks/{id}/outputs/{name}: the same bytes may come again, others may not. */
export async function putOutput(request: Request, context: RequestContext): Promise<Response> {
  const target = await targetOf(request, context);
  if (!target.ok) return await refuseUpload(request, target.error);
  const upload = readUpload(request);
  if (!upload.ok) return await refuseUpload(request, upload.error);
  const { size, sha256 } = upload.value;
  if (size === 0)
    return problemResponse(refuse("invalid", "A frame's file must not be empty.", "Content-Length").error);
  const stored = await storeOnce(context.env.FILES, { ...upload.value, key: target.value.key });
  return stored.ok ? await answerReceipt(context, target.value, size, sha256) : problemResponse(stored.error);
}

/** GET /tasks/{id}/outputs/{name}/parts. */
export async function getOutputParts(request: Request, context: RequestContext): Promise<Response> {
  const target = await targetOf(request, context);
  return target.ok ? await answerParts(context.env.FILES, target.value.key) : problemResponse(target.error);
}

/** PUT /tasks/{id}/outputs/{name}/parts/{n}. */
export async function putOutputPart(request: Request, context: RequestContext): Promise<Response> {
  const target = await targetOf(request, context);
  if (!target.ok) return await refuseUpload(request, target.error);
  return await takePart(request, context.env.FILES, target.value.key, context.params["n"]);
}

/** POST /tasks/{id}/outputs/{name}/assemble. */
export async function assembleOutput(request: Request, context: RequestContext): Promise<Response> {
  const target = await targetOf(request, context);
  if (!target.ok) return problemResponse(target.error);
  const whole = await assembleUpload(request, context.env.FILES, target.value.key);
  return whole.ok
    ? await answerReceipt(context, target.value, whole.value.size, whole.value.sha256)
    : problemResponse(whole.error);
}
