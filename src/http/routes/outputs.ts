/**
 * Outputs: `/tasks/{id}/outputs/{name}`, from a worker with the grant of its lease. An upload calls
 * no Durable Object: the grant names the attempt, R2 checks the bytes, and the task commits by the
 * signed receipt (P3).
 */
import type { z } from "zod";
import { signReceipt } from "../../files/grant.ts";
import { outputKey } from "../../files/keys.ts";
import { storeOnce } from "../../files/store.ts";
import { ok, type Result } from "../../lib/result.ts";
import { signingKey } from "../../platform/signing-key.ts";
import { crc32Schema } from "../../protocol/fields.ts";
import {
  assembleSchema,
  CRC_HEADER,
  GRANT_HEADER,
  receiptSchema,
  type Grant,
  type ReceiptClaims,
} from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import { refuse, type ProblemCode, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { writeGrant, type GrantHolder } from "../grants.ts";
import { outputName, partNumber, taskId } from "../server/path-parameters.ts";
import { reply, type Reply } from "../server/responses.ts";
import { defineRoute, WORKERS, type Route } from "../server/route.ts";
import {
  arrivedParts,
  assembleUpload,
  HASH_HEADER,
  LENGTH_HEADER,
  PARTS_ANSWERS,
  PIECES_OF_FILE,
  readPieces,
  readUpload,
  receivePart,
  UPLOAD_PROBLEMS,
} from "../uploads.ts";

const grantHeader: HeaderDescription = { name: GRANT_HEADER, description: "The grant of the lease", required: true };
const crcHeader: HeaderDescription = {
  name: CRC_HEADER,
  description: "CRC-32 of the whole file, for the zip; not checked on arrival",
  pattern: "^[0-9a-f]{8}$",
};
const receiptAnswers = { 201: { description: "Stored; the receipt commits it", schema: receiptSchema } } as const;
const problems: readonly ProblemCode[] = [...UPLOAD_PROBLEMS, "lease_lost"];

/** Where the upload goes, and the grant that allows it. */
interface Target {
  key: string;
  name: string;
  grant: Grant;
}

async function targetOf(context: GrantHolder & { id: number; name: string }): Promise<Result<Target, Refusal>> {
  const { id, name } = context;
  const grant = await writeGrant(context, id);
  return grant.ok ? ok({ key: outputKey(id, grant.value.attempt, name), name, grant: grant.value }) : grant;
}

/** The CRC-32 that the request names, if it names one. Refusal: `invalid`. */
function readCrc(request: Request): Result<{ crc32?: string }, Refusal> {
  const text = request.headers.get(CRC_HEADER);
  if (text === null) return ok({});
  const crc32 = crc32Schema.safeParse(text);
  if (crc32.success) return ok({ crc32: crc32.data });
  return refuse("invalid", `${CRC_HEADER} must be a CRC-32: 8 lower-case hexadecimal digits.`, CRC_HEADER);
}

type Receipt = z.infer<typeof receiptSchema>;

async function receiptFor(
  env: Env,
  { name, grant }: Target,
  { size, sha256, crc32, pieces }: Pick<ReceiptClaims, "size" | "sha256" | "crc32"> & { pieces?: string | undefined },
): Promise<Result<Reply<201, Receipt>, Refusal>> {
  const checked = pieces !== undefined && { pieces };
  const claims: ReceiptClaims = {
    task: grant.task,
    attempt: grant.attempt,
    name,
    size,
    sha256,
    ...(crc32 !== undefined && { crc32 }),
    ...checked,
  };
  const receipt = await signReceipt(await signingKey(env), claims);
  return reply(201, { receipt, name, size, sha256, ...checked });
}

/** The same bytes may come again; other bytes under the same attempt and name are a conflict. */
export const putOutput = defineRoute({
  method: "PUT",
  path: "/tasks/{id}/outputs/{name}",
  operationId: "putOutput",
  tag: "files",
  summary: "Upload an output",
  description: "At most 32 MiB; anything larger goes in parts.",
  who: WORKERS,
  headers: [grantHeader, HASH_HEADER, LENGTH_HEADER, crcHeader],
  params: { id: taskId, name: outputName },
  upload: true,
  answers: receiptAnswers,
  problems,
  admit: targetOf,
  handle: async ({ request, env, admitted: target }) => {
    const upload = readUpload(request);
    if (!upload.ok) return upload;
    const { size, sha256 } = upload.value;
    if (size === 0) return refuse("invalid", "A frame's file must not be empty.", "Content-Length");
    const crc = readCrc(request);
    if (!crc.ok) return crc;
    const stored = await storeOnce(env.FILES, { ...upload.value, key: target.key });
    return stored.ok ? await receiptFor(env, target, { size, sha256, ...crc.value }) : stored;
  },
});

export const listOutputParts = defineRoute({
  method: "GET",
  path: "/tasks/{id}/outputs/{name}/parts",
  operationId: "listOutputParts",
  tag: "files",
  summary: "Parts of an output that have arrived",
  who: WORKERS,
  headers: [grantHeader],
  params: { id: taskId, name: outputName },
  answers: PARTS_ANSWERS,
  problems: ["invalid", "lease_lost"],
  admit: targetOf,
  handle: async ({ env, admitted }) => ok(await arrivedParts(env.FILES, admitted.key)),
});

export const putOutputPart = defineRoute({
  method: "PUT",
  path: "/tasks/{id}/outputs/{name}/parts/{n}",
  operationId: "putOutputPart",
  tag: "files",
  summary: "Upload one part of an output",
  who: WORKERS,
  headers: [grantHeader, HASH_HEADER, LENGTH_HEADER],
  params: { id: taskId, name: outputName, n: partNumber },
  upload: true,
  answers: { 204: { description: "Stored" } },
  problems,
  admit: targetOf,
  handle: async ({ request, env, n, admitted }) => await receivePart(request, env.FILES, admitted.key, n),
});

export const assembleOutput = defineRoute({
  method: "POST",
  path: "/tasks/{id}/outputs/{name}/assemble",
  operationId: "assembleOutput",
  tag: "files",
  summary: "Put an output's parts together",
  who: WORKERS,
  headers: [grantHeader, PIECES_OF_FILE, crcHeader],
  params: { id: taskId, name: outputName },
  body: assembleSchema,
  answers: receiptAnswers,
  problems: ["conflict", "lease_lost"],
  admit: targetOf,
  handle: async ({ request, env, body, admitted: target }) => {
    const crc = readCrc(request);
    if (!crc.ok) return crc;
    const pieces = readPieces(request, body);
    if (!pieces.ok) return pieces;
    const whole = await assembleUpload(env.FILES, target.key, { ...body, ...pieces.value });
    return whole.ok ? await receiptFor(env, target, { ...whole.value, ...crc.value }) : whole;
  },
});

export const outputRoutes: readonly Route[] = [putOutput, listOutputParts, putOutputPart, assembleOutput];
