/** Routes of backup and restore. */
import { BACKUP_HEADER, backupRowsSchema, restoreSchema } from "../../protocol/backup.ts";
import { assembleSchema, assetSchema, partsSchema } from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import type { ProblemCode } from "../../protocol/problem.ts";
import { backupRowsQuery, readBackupOutput, readBackupRows, restoreRowsQuery } from "../backup.ts";
import {
  assembleRestored,
  beginRestore,
  getRestoredParts,
  restoreOutput,
  restorePart,
  restoreRows,
} from "../restore.ts";
import { ADMINS, type Route } from "../route.ts";

const tag = "backup";
const bytes = "application/octet-stream";
const restoring: HeaderDescription = {
  name: BACKUP_HEADER,
  description: "Id of the backup that is being restored",
  required: true,
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
const stored = {
  200: { description: "It was there", schema: assetSchema },
  201: { description: "Stored", schema: assetSchema },
} as const;
const problems: readonly ProblemCode[] = ["invalid", "length_required", "too_large", "conflict"];

export const backupRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/backup/rows",
    operationId: "readBackupRows",
    tag,
    summary: "Rows of the registry, of a task, of the history; the list of inputs",
    description:
      "For `tablao backup`. Secrets are in it as hashes only. Pages of one task belong together while their `version` is the same.",
    who: ADMINS,
    query: backupRowsQuery,
    answers: { 200: { description: "A page of rows", schema: backupRowsSchema } },
    problems: ["not_found"],
    handler: readBackupRows,
  },
  {
    method: "GET",
    path: "/backup/outputs/{id}/{attempt}/{name}",
    operationId: "readBackupOutput",
    tag,
    summary: "A task's file by the attempt it was stored under",
    who: ADMINS,
    headers: [{ name: "Range", description: "One range of bytes" }],
    answers: {
      200: { description: "The bytes", media: bytes },
      206: { description: "The range", media: bytes },
      304: { description: "Unchanged" },
    },
    problems: ["range_not_satisfiable"],
    handler: readBackupOutput,
  },
  {
    method: "POST",
    path: "/restore",
    operationId: "beginRestore",
    tag,
    summary: "Begin to restore a backup, or go on with it",
    description: "Refused with what is there when this manager is not empty.",
    who: ADMINS,
    body: restoreSchema,
    example: { backup: "0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f", format: 1 },
    answers: { 204: { description: "Send files, then rows" } },
    problems: ["conflict"],
    handler: beginRestore,
  },
  {
    method: "POST",
    path: "/restore/rows",
    operationId: "restoreRows",
    tag,
    summary: "Rows of a backup, one a line",
    description: "All of them or none are taken. Tasks oldest first; the registry's last, which ends the restore.",
    who: ADMINS,
    query: restoreRowsQuery,
    headers: [restoring],
    upload: true,
    answers: { 204: { description: "Done" } },
    problems: ["invalid_request", "invalid", "too_large", "conflict"],
    handler: restoreRows,
  },
  {
    method: "PUT",
    path: "/restore/outputs/{id}/{attempt}/{name}",
    operationId: "restoreOutput",
    tag,
    summary: "A task's file, to where it was stored",
    who: ADMINS,
    headers: [restoring, hash, length],
    upload: true,
    answers: stored,
    problems,
    handler: restoreOutput,
  },
  {
    method: "GET",
    path: "/restore/outputs/{id}/{attempt}/{name}/parts",
    operationId: "getRestoredParts",
    tag,
    summary: "Parts of a large file that have arrived",
    who: ADMINS,
    headers: [restoring],
    answers: { 200: { description: "Parts that have arrived", schema: partsSchema } },
    problems,
    handler: getRestoredParts,
  },
  {
    method: "PUT",
    path: "/restore/outputs/{id}/{attempt}/{name}/parts/{n}",
    operationId: "restorePart",
    tag,
    summary: "One part of a large file",
    who: ADMINS,
    headers: [restoring, hash, length],
    upload: true,
    answers: { 204: { description: "Stored" } },
    problems,
    handler: restorePart,
  },
  {
    method: "POST",
    path: "/restore/outputs/{id}/{attempt}/{name}/assemble",
    operationId: "assembleRestored",
    tag,
    summary: "Put the parts of a large file together",
    who: ADMINS,
    headers: [restoring],
    body: assembleSchema,
    answers: stored,
    problems,
    handler: assembleRestored,
  },
];
