/**
 * Inputs by content: `/assets/{sha256}`. The hash is the name, so equal files of different senders
 * are stored once.
 */
import type { StoredInput } from "../../files/input-index.ts";
import { assetKey } from "../../files/keys.ts";
import { storeOnce } from "../../files/store.ts";
import { noteStored, sizesOfInputs, takePieceList } from "../../files/stored-inputs.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { sha256Hex } from "../../platform/secrets.ts";
import {
  assembleSchema,
  GRANT_HEADER,
  missingResultSchema,
  missingSchema,
  pieceListSchema,
} from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import { bytesOfPieces, MAX_PIECE_LIST_BYTES, PIECE_LIST_HEADER, readPieceList } from "../../protocol/piece-list.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { readTextWithin } from "../server/body.ts";
import { assetHash, noSuch, partNumber } from "../server/path-parameters.ts";
import { reply, type Reply } from "../server/responses.ts";
import { defineRoute, SUBMITTERS, type Route } from "../server/route.ts";
import { mayReadInput } from "../input-rights.ts";
import { answerObject, CONTENT_ANSWERS, RANGE_HEADER } from "../stored-content.ts";
import {
  arrivedParts,
  assembleUpload,
  HASH_HEADER,
  LENGTH_HEADER,
  PARTS_ANSWERS,
  readLength,
  readUpload,
  receivePart,
  STORED_ANSWERS,
  UPLOAD_PROBLEMS,
} from "../uploads.ts";
import { putAssets } from "./asset-batch.ts";

const tag = "assets";
const params = { sha256: assetHash };
const readGrant: HeaderDescription = {
  name: GRANT_HEADER,
  description: "Workers only: a lease's grant whose task names the asset",
};
const pieceOf: HeaderDescription = {
  name: PIECE_LIST_HEADER,
  description: "Workers only, for a piece: the hash of the piece list that the task names",
  pattern: "^[0-9a-f]{64}$",
};

export const findMissingAssets = defineRoute({
  method: "POST",
  path: "/assets/missing",
  operationId: "findMissingAssets",
  tag,
  summary: "Which of these are not here yet?",
  who: SUBMITTERS,
  body: missingSchema,
  answers: { 200: { description: "Those to upload", schema: missingResultSchema } },
  handle: async ({ env, body }) => {
    const hashes = [...new Set(body.sha256)];
    const lists = new Set(body.piece_lists);
    const sizes = await sizesOfInputs(env, hashes, Date.now, lists);
    if (!sizes.ok) return sizes;
    const isThere = (sha256: string): boolean => {
      const stored = sizes.value.get(sha256);
      return stored !== undefined && (stored.whole !== null || !lists.has(sha256));
    };
    return ok({ missing: hashes.filter((sha256) => !isThere(sha256)) });
  },
});

export const putAsset = defineRoute({
  method: "PUT",
  path: "/assets/{sha256}",
  operationId: "putAsset",
  tag,
  summary: "Upload an asset",
  description: "At most 32 MiB; anything larger goes in parts.",
  who: SUBMITTERS,
  headers: [LENGTH_HEADER],
  params,
  upload: true,
  answers: STORED_ANSWERS,
  problems: UPLOAD_PROBLEMS,
  handle: async ({ request, env, sha256 }) => {
    const upload = readUpload(request, { value: sha256, field: "sha256" });
    if (!upload.ok) return upload;
    const beganMs = Date.now();
    const stored = await storeOnce(env.FILES, { ...upload.value, key: assetKey(sha256) });
    return stored.ok
      ? await answerStored(env, { sha256, size: upload.value.size }, stored.value.created, beganMs)
      : stored;
  },
});

export const getAsset = defineRoute({
  method: "GET",
  path: "/assets/{sha256}",
  operationId: "getAsset",
  tag,
  summary: "An asset's bytes",
  description:
    "A worker reads what the task of its grant names; a piece with the piece list that the task names. Without a grant, as agents " +
    "up to version 0.1, what a task names of which it has a live lease; until version 0.3.",
  who: ["admin", "artist", "worker"],
  headers: [readGrant, pieceOf, RANGE_HEADER],
  params,
  answers: CONTENT_ANSWERS,
  problems: ["invalid", "range_not_satisfiable", "lease_lost"],
  admit: async ({ request, env, principal, sha256 }) => await mayReadInput({ request, env, principal }, sha256),
  handle: async ({ request, env, ctx, sha256 }) => {
    const cacheControl = "private, max-age=31536000, immutable";
    const object = { key: assetKey(sha256), name: sha256, cacheControl, sha256 };
    return (await answerObject(request, env.FILES, object, ctx)) ?? noSuch("asset");
  },
});

export const putPieceList = defineRoute({
  method: "PUT",
  path: "/assets/{sha256}/pieces",
  operationId: "putPieceList",
  tag,
  summary: "Upload the list of the pieces of a large file",
  description:
    "For a file above 32 MiB, after its pieces, each of which is an asset. The body is the line `tablao-pieces 1` and a line " +
    "`<size> <sha256>` for each piece in order; its SHA-256 is in the path. An input with `pieces` names it.",
  who: SUBMITTERS,
  headers: [LENGTH_HEADER],
  params,
  upload: true,
  answers: {
    200: { description: "It was there", schema: pieceListSchema },
    201: { description: "Stored", schema: pieceListSchema },
  },
  problems: ["invalid_request", ...UPLOAD_PROBLEMS],
  handle: async ({ request, env, sha256 }) => {
    const tooLarge = `A piece list has at most ${MAX_PIECE_LIST_BYTES} bytes.`;
    const length = readLength(request, MAX_PIECE_LIST_BYTES, tooLarge);
    if (!length.ok) return length;
    const text = await readTextWithin(request, MAX_PIECE_LIST_BYTES);
    if (!text.ok) return text;
    // The text is without a byte order mark that may have come.
    if (text.value.length !== length.value || (await sha256Hex(text.value)) !== sha256)
      return refuse(
        "invalid",
        "The bytes that came do not have the SHA-256 in the path; nothing was stored.",
        "sha256",
      );
    const pieces = readPieceList(text.value);
    if (!pieces.ok) return refuse("invalid", pieces.error, "body");
    const taken = await takePieceList(env, sha256, pieces.value, Date.now);
    if (!taken.ok) return taken;
    const whole = bytesOfPieces(pieces.value);
    const answer = { sha256, size: text.value.length, whole, pieces: pieces.value.length };
    return reply(taken.value.created ? 201 : 200, answer);
  },
});

export const listAssetParts = defineRoute({
  method: "GET",
  path: "/assets/{sha256}/parts",
  operationId: "listAssetParts",
  tag,
  summary: "Parts of an asset that have arrived",
  who: SUBMITTERS,
  params,
  answers: PARTS_ANSWERS,
  problems: ["invalid"],
  handle: async ({ env, sha256 }) => ok(await arrivedParts(env.FILES, assetKey(sha256))),
});

export const putAssetPart = defineRoute({
  method: "PUT",
  path: "/assets/{sha256}/parts/{n}",
  operationId: "putAssetPart",
  tag,
  summary: "Upload one part of an asset",
  description: "Exactly 32 MiB; the last part may be shorter.",
  who: SUBMITTERS,
  headers: [HASH_HEADER, LENGTH_HEADER],
  params: { ...params, n: partNumber },
  upload: true,
  answers: { 204: { description: "Stored" } },
  problems: UPLOAD_PROBLEMS,
  handle: async ({ request, env, sha256, n }) => await receivePart(request, env.FILES, assetKey(sha256), n),
});

export const assembleAsset = defineRoute({
  method: "POST",
  path: "/assets/{sha256}/assemble",
  operationId: "assembleAsset",
  tag,
  summary: "Put an asset's parts together",
  who: SUBMITTERS,
  params,
  body: assembleSchema,
  answers: STORED_ANSWERS,
  problems: ["conflict"],
  handle: async ({ env, sha256, body }) => {
    if (body.sha256 !== sha256) return refuse("invalid", "sha256 must be the one in the path.", "sha256");
    const beganMs = Date.now();
    const whole = await assembleUpload(env.FILES, assetKey(sha256), body);
    return whole.ok ? await answerStored(env, { sha256, size: whole.value.size }, whole.value.created, beganMs) : whole;
  },
});

/**
 * The answer to an upload that began at `beganMs`, and whose input has been in the bucket since. Refusal:
 * `overloaded`.
 */
async function answerStored(
  env: Env,
  input: StoredInput,
  created: boolean,
  beganMs: number,
): Promise<Result<Reply<200 | 201, StoredInput>, Refusal>> {
  const refusal = (await noteStored(env, [input], beganMs, Date.now)).get(input.sha256);
  return refusal ? err(refusal) : reply(created ? 201 : 200, input);
}

export const assetRoutes: readonly Route[] = [
  findMissingAssets,
  putAssets,
  putAsset,
  getAsset,
  putPieceList,
  listAssetParts,
  putAssetPart,
  assembleAsset,
];
