/** Routes of files: assets in, outputs out, downloads. */
import { BATCH_HEADER, MAX_BATCH_BYTES, MAX_BATCH_FILES } from "../../protocol/asset-batch.ts";
import {
  assembleSchema,
  assetSchema,
  assetsStoredSchema,
  fileListSchema,
  missingResultSchema,
  missingSchema,
  partsSchema,
  receiptSchema,
} from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import type { ProblemCode } from "../../protocol/problem.ts";
import { putAssets } from "../asset-batch.ts";
import { assembleAsset, findMissingAssets, getAsset, getAssetParts, putAsset, putAssetPart } from "../assets.ts";
import { downloadFrame, downloadPreview, downloadZip, fileListQuery, listFiles, zipQuery } from "../downloads.ts";
import { assembleOutput, getOutputParts, putOutput, putOutputPart } from "../outputs.ts";
import { previewQuery } from "../queries.ts";
import { PEOPLE, SUBMITTERS, TASK_READERS, VIEWERS, WORKERS, type Route } from "../route.ts";

const files = "files";
const assets = "assets";
const bytes = "application/octet-stream";

const grant: HeaderDescription = { name: "Tablao-Grant", description: "The grant of the lease", required: true };
const readGrant: HeaderDescription = {
  name: "Tablao-Grant",
  description: "Workers only: a lease's grant that names the task",
};
const hash: HeaderDescription = {
  name: "Tablao-SHA256",
  description: "SHA-256 of this body, checked on arrival",
  pattern: "^[0-9a-f]{64}$",
  required: true,
};
const length: HeaderDescription = {
  name: "Content-Length",
  description: "Bytes of this body",
  required: true,
  pattern: "^[0-9]+$",
};
const batch: HeaderDescription = {
  name: BATCH_HEADER,
  description: "The files that the body is made of, in order: `<sha256>:<bytes>`, with commas between",
  required: true,
  pattern: "^[0-9a-f]{64}:[0-9]+( *, *[0-9a-f]{64}:[0-9]+)*$",
};
const range: HeaderDescription = { name: "Range", description: "One range of bytes" };

const stored = {
  200: { description: "It was there", schema: assetSchema },
  201: { description: "Stored", schema: assetSchema },
} as const;
const receipt = { 201: { description: "Stored; the receipt commits it", schema: receiptSchema } } as const;
const parts = { 200: { description: "Parts that have arrived", schema: partsSchema } } as const;
const content = {
  200: { description: "The bytes", media: bytes },
  206: { description: "The range", media: bytes },
  304: { description: "Unchanged" },
} as const;
const UPLOAD_PROBLEMS: readonly ProblemCode[] = ["invalid", "length_required", "too_large", "conflict"];
const OUTPUT_PROBLEMS: readonly ProblemCode[] = [...UPLOAD_PROBLEMS, "lease_lost"];

const downloadRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/tasks/{id}/files",
    operationId: "listFiles",
    tag: files,
    summary: "Committed files in frame order",
    who: TASK_READERS,
    headers: [readGrant],
    query: fileListQuery,
    answers: { 200: { description: "A page of files", schema: fileListSchema } },
    problems: ["lease_lost"],
    handler: listFiles,
  },
  {
    method: "GET",
    path: "/tasks/{id}/frames/{frame}/file",
    operationId: "downloadFrame",
    tag: files,
    summary: "One frame's file",
    who: TASK_READERS,
    headers: [readGrant, range],
    answers: content,
    problems: ["range_not_satisfiable", "lease_lost"],
    handler: downloadFrame,
  },
  {
    method: "GET",
    path: "/tasks/{id}/frames/{frame}/preview",
    operationId: "downloadPreview",
    tag: files,
    summary: "A small picture of one frame",
    description: "A JPEG, tone-mapped where the frame is one of high dynamic range. Agents without ffmpeg make none.",
    who: VIEWERS,
    query: previewQuery,
    headers: [range],
    answers: { ...content, 200: { description: "The picture", media: "image/jpeg" } },
    problems: ["range_not_satisfiable"],
    handler: downloadPreview,
  },
  {
    method: "GET",
    path: "/tasks/{id}/zip",
    operationId: "downloadZip",
    tag: files,
    summary: "The committed files as one zip",
    who: PEOPLE,
    query: zipQuery,
    answers: { 200: { description: "A stored zip, streamed", media: "application/zip" } },
    handler: downloadZip,
  },
];

const outputRoutes: readonly Route[] = [
  {
    method: "PUT",
    path: "/tasks/{id}/outputs/{name}",
    operationId: "putOutput",
    tag: files,
    summary: "Upload an output",
    description: "At most 32 MiB; anything larger goes in parts.",
    who: WORKERS,
    headers: [grant, hash, length],
    upload: true,
    answers: receipt,
    problems: OUTPUT_PROBLEMS,
    handler: putOutput,
  },
  {
    method: "GET",
    path: "/tasks/{id}/outputs/{name}/parts",
    operationId: "listOutputParts",
    tag: files,
    summary: "Parts of an output that have arrived",
    who: WORKERS,
    headers: [grant],
    answers: parts,
    problems: ["invalid", "lease_lost"],
    handler: getOutputParts,
  },
  {
    method: "PUT",
    path: "/tasks/{id}/outputs/{name}/parts/{n}",
    operationId: "putOutputPart",
    tag: files,
    summary: "Upload one part of an output",
    who: WORKERS,
    headers: [grant, hash, length],
    upload: true,
    answers: { 204: { description: "Stored" } },
    problems: OUTPUT_PROBLEMS,
    handler: putOutputPart,
  },
  {
    method: "POST",
    path: "/tasks/{id}/outputs/{name}/assemble",
    operationId: "assembleOutput",
    tag: files,
    summary: "Put an output's parts together",
    who: WORKERS,
    headers: [grant],
    body: assembleSchema,
    answers: receipt,
    problems: ["conflict", "lease_lost"],
    handler: assembleOutput,
  },
];

const assetRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/assets/missing",
    operationId: "findMissingAssets",
    tag: assets,
    summary: "Which of these are not here yet?",
    who: SUBMITTERS,
    body: missingSchema,
    answers: { 200: { description: "Those to upload", schema: missingResultSchema } },
    handler: findMissingAssets,
  },
  {
    method: "POST",
    path: "/assets",
    operationId: "putAssets",
    tag: assets,
    summary: "Upload many small assets",
    description:
      `Their bytes, one after the other: at most ${MAX_BATCH_FILES} files and ${MAX_BATCH_BYTES} bytes. Each is stored, or refused, ` +
      "whatever becomes of the others; `status` and `problem` say what a PUT of it alone would have answered.",
    who: SUBMITTERS,
    headers: [batch, length],
    upload: true,
    answers: { 200: { description: "What became of each", schema: assetsStoredSchema } },
    problems: ["invalid_request", "invalid", "length_required", "too_large", "unsupported_media_type"],
    handler: putAssets,
  },
  {
    method: "PUT",
    path: "/assets/{sha256}",
    operationId: "putAsset",
    tag: assets,
    summary: "Upload an asset",
    description: "At most 32 MiB; anything larger goes in parts.",
    who: SUBMITTERS,
    headers: [length],
    upload: true,
    answers: stored,
    problems: UPLOAD_PROBLEMS,
    handler: putAsset,
  },
  {
    method: "GET",
    path: "/assets/{sha256}",
    operationId: "getAsset",
    tag: assets,
    summary: "An asset's bytes",
    who: ["admin", "artist", "worker"],
    headers: [range],
    answers: content,
    problems: ["invalid", "range_not_satisfiable"],
    handler: getAsset,
  },
  {
    method: "GET",
    path: "/assets/{sha256}/parts",
    operationId: "listAssetParts",
    tag: assets,
    summary: "Parts of an asset that have arrived",
    who: SUBMITTERS,
    answers: parts,
    problems: ["invalid"],
    handler: getAssetParts,
  },
  {
    method: "PUT",
    path: "/assets/{sha256}/parts/{n}",
    operationId: "putAssetPart",
    tag: assets,
    summary: "Upload one part of an asset",
    description: "Exactly 32 MiB; the last part may be shorter.",
    who: SUBMITTERS,
    headers: [hash, length],
    upload: true,
    answers: { 204: { description: "Stored" } },
    problems: UPLOAD_PROBLEMS,
    handler: putAssetPart,
  },
  {
    method: "POST",
    path: "/assets/{sha256}/assemble",
    operationId: "assembleAsset",
    tag: assets,
    summary: "Put an asset's parts together",
    who: SUBMITTERS,
    body: assembleSchema,
    answers: stored,
    problems: ["conflict"],
    handler: assembleAsset,
  },
];

export const fileRoutes: readonly Route[] = [...downloadRoutes, ...outputRoutes, ...assetRoutes];
