/**
 * `/restore…`: a backup into an empty manager, for admins. The order is: files, totals, history,
 * tasks (oldest first, since a task may depend on older tasks only), and the registry's rows last.
 * Until the registry's rows are there, only the admin has a token and no work is given out.
 */
import { z } from "zod";
import { outputKey } from "../../files/keys.ts";
import { storeOnce } from "../../files/store.ts";
import { restoreTotals, type RestoredTotals } from "../../history/backup.ts";
import { writeRows } from "../../history/store.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { invalidFields } from "../../platform/problem-response.ts";
import {
  BACKUP_FORMAT,
  BACKUP_HEADER,
  backupRowSchema,
  historyKeptSchema,
  historyRowSchema,
  MAX_ROWS_BYTES,
  packedDaySchema,
  restoreAbandonedSchema,
  restoreSchema,
  type BackupRow,
} from "../../protocol/backup.ts";
import { fieldErrors } from "../../protocol/field-errors.ts";
import { idSchema } from "../../protocol/fields.ts";
import { assembleSchema } from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry, callTask } from "../../rpc/stubs.ts";
import { readTextWithin } from "../server/body.ts";
import { idOf, partNumber, storedName } from "../server/path-parameters.ts";
import { reply } from "../server/responses.ts";
import { ADMINS, defineRoute, type Route } from "../server/route.ts";
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
  STORED_ANSWERS,
  UPLOAD_PROBLEMS,
} from "../uploads.ts";
import { ID_RULE, toRefusal } from "./backup.ts";

const tag = "backup";
const who = ADMINS;
const problems = UPLOAD_PROBLEMS;
const backupHeader: HeaderDescription = {
  name: BACKUP_HEADER,
  description: "Id of the backup that is being restored",
  required: true,
};
const place = "place for a file";
const placeParams = { id: idOf(place), attempt: idOf(place), name: storedName(place) };

/** Ok while the backup that the request names is being restored here. `task`: the task that comes. */
async function isUnderWay({ request, env }: { request: Request; env: Env }, task = 0): Promise<Result<null, Refusal>> {
  const backup = request.headers.get(BACKUP_HEADER);
  if (backup === null)
    return refuse("invalid", `Say which backup it is in the header ${BACKUP_HEADER}.`, BACKUP_HEADER);
  return await callRegistry(env, (registry) => registry.isRestoring(backup, task));
}

const beginRestore = defineRoute({
  method: "POST",
  path: "/restore",
  operationId: "beginRestore",
  tag,
  summary: "Begin to restore a backup, or go on with it",
  description: "Refused with what is there when this manager is not empty.",
  who,
  body: restoreSchema,
  example: { backup: "0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f", format: BACKUP_FORMAT },
  answers: { 204: { description: "Send files, then rows" } },
  problems: ["conflict"],
  handle: async ({ env, body: { backup, format } }) => {
    if (format < 1 || format > BACKUP_FORMAT)
      return refuse("invalid", `This manager takes backups of format 1 to ${BACKUP_FORMAT}, not ${format}.`, "format");
    return await callRegistry(env, (registry) => registry.beginRestore(backup));
  },
});

const abandonRestore = defineRoute({
  method: "DELETE",
  path: "/restore",
  operationId: "abandonRestore",
  tag,
  summary: "End a restore that is not to be completed",
  description:
    "What has arrived stays: whole tasks with their files, events and totals of the history, rows of the registry. A task of which rows are " +
    "missing does not exist. Refused when no restore is under way.",
  who,
  answers: { 200: { description: "How many tasks have arrived", schema: restoreAbandonedSchema } },
  problems: ["conflict"],
  handle: async ({ env }) => await callRegistry(env, (registry) => registry.abandonRestore()),
});

const restoreRows = defineRoute({
  method: "POST",
  path: "/restore/rows",
  operationId: "restoreRows",
  tag,
  summary: "Rows of a backup, one a line",
  description: "All of them or none are taken. Tasks oldest first; the registry's last, which ends the restore.",
  who,
  query: z
    .strictObject({
      of: z.enum(["registry", "task", "history", "totals"]).meta({
        description: "Which rows: `task` needs an `id`; `totals` come before `history`",
      }),
      id: idSchema.optional(),
      last: z
        .boolean()
        .default(false)
        .meta({ description: "These complete the task, or the registry and with it the restore" }),
    })
    .refine((query) => (query.of === "task") === (query.id !== undefined), ID_RULE),
  headers: [backupHeader],
  upload: true,
  answers: { 204: { description: "Done" } },
  problems: ["invalid_request", "invalid", "too_large", "conflict"],
  handle: async ({ request, env, query: { of, id = 0, last } }) => {
    const allowed = await isUnderWay({ request, env }, id);
    if (!allowed.ok) return allowed;
    const rows = await readRows(request);
    if (!rows.ok) return rows;
    // A task exists as soon as its definition is there, and a task of which rows are missing must
    // not be seen.
    if (of === "task" && !last && rows.value.some(([table]) => table === "definition"))
      return refuse("invalid", "A task's definition comes with the last of its rows.", "last");
    if (of === "task" && rows.value.some(([table, row]) => table === "definition" && !isOf(row, id)))
      return refuse("invalid", `These are the rows of another task than ${id}.`, "id");
    const backup = request.headers.get(BACKUP_HEADER)!;
    switch (of) {
      case "registry":
        return toRefusal("registry", await callRegistry(env, (registry) => registry.restoreRows(rows.value, last)));
      case "task":
        return toRefusal(`task ${id}`, await callTask(env, id, (task) => task.restoreRows(rows.value, last, backup)));
      case "history":
        return await restoreHistory(env, rows.value);
      case "totals":
        return await restoreTotalsOf(env, rows.value);
    }
  },
});

/** Whether a row of the table `definition` is the definition of this task. */
function isOf(definition: BackupRow[1], id: number): boolean {
  const json = jsonOf(definition["json"]);
  return typeof json === "object" && json !== null && "id" in json && json.id === id;
}

/** The rows of a body with one row a line. */
async function readRows(request: Request): Promise<Result<BackupRow[], Refusal>> {
  const text = await readTextWithin(request, MAX_ROWS_BYTES);
  if (!text.ok) return text;
  const rows: BackupRow[] = [];
  for (const [index, line] of text.value.split("\n").entries()) {
    if (line === "") continue;
    const row = parsed(line);
    if (!row.success) return err(invalidFields(fieldErrors(row.error.issues, [`line ${index + 1}`])));
    rows.push(row.data);
  }
  return ok(rows);
}

function parsed(line: string): z.ZodSafeParseResult<BackupRow> {
  try {
    return backupRowSchema.safeParse(JSON.parse(line));
  } catch {
    return backupRowSchema.safeParse(undefined);
  }
}

async function restoreHistory(env: Env, rows: readonly BackupRow[]): Promise<Result<null, Refusal>> {
  const history = [];
  for (const [index, [, row]] of rows.entries()) {
    const read = historyRowSchema.safeParse({ ...row, events: jsonOf(row["events"]) });
    if (!read.success) return err(invalidFields(fieldErrors(read.error.issues, [`line ${index + 1}`])));
    history.push(read.data);
  }
  await writeRows(env.HISTORY, history);
  return ok(null);
}

async function restoreTotalsOf(env: Env, rows: readonly BackupRow[]): Promise<Result<null, Refusal>> {
  const days = [];
  let keptFromMs: RestoredTotals["keptFromMs"] = null;
  for (const [index, [table, row]] of rows.entries()) {
    const line = [`line ${index + 1}`];
    if (table === "history_kept") {
      const read = historyKeptSchema.safeParse(row);
      if (!read.success) return err(invalidFields(fieldErrors(read.error.issues, line)));
      keptFromMs = read.data.from_ms;
    } else {
      const read = packedDaySchema.safeParse({ ...row, entries: jsonOf(row["entries"]) });
      if (!read.success) return err(invalidFields(fieldErrors(read.error.issues, line)));
      days.push(read.data);
    }
  }
  await restoreTotals(env.HISTORY, { keptFromMs, days });
  return ok(null);
}

function jsonOf(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}

const restoreOutput = defineRoute({
  method: "PUT",
  path: "/restore/outputs/{id}/{attempt}/{name}",
  operationId: "restoreOutput",
  tag,
  summary: "A task's file, to where it was stored",
  who,
  headers: [backupHeader, HASH_HEADER, LENGTH_HEADER],
  params: placeParams,
  upload: true,
  answers: STORED_ANSWERS,
  problems,
  admit: isUnderWay,
  handle: async ({ request, env, id, attempt, name }) => {
    const upload = readUpload(request);
    if (!upload.ok) return upload;
    const { sha256, size } = upload.value;
    const stored = await storeOnce(env.FILES, { ...upload.value, key: outputKey(id, attempt, name) });
    return stored.ok ? reply(stored.value.created ? 201 : 200, { sha256, size }) : stored;
  },
});

const listRestoredParts = defineRoute({
  method: "GET",
  path: "/restore/outputs/{id}/{attempt}/{name}/parts",
  operationId: "getRestoredParts",
  tag,
  summary: "Parts of a large file that have arrived",
  who,
  headers: [backupHeader],
  params: placeParams,
  answers: PARTS_ANSWERS,
  problems,
  admit: isUnderWay,
  handle: async ({ env, id, attempt, name }) => ok(await arrivedParts(env.FILES, outputKey(id, attempt, name))),
});

const restorePart = defineRoute({
  method: "PUT",
  path: "/restore/outputs/{id}/{attempt}/{name}/parts/{n}",
  operationId: "restorePart",
  tag,
  summary: "One part of a large file",
  who,
  headers: [backupHeader, HASH_HEADER, LENGTH_HEADER],
  params: { ...placeParams, n: partNumber },
  upload: true,
  answers: { 204: { description: "Stored" } },
  problems,
  admit: isUnderWay,
  handle: async ({ request, env, id, attempt, name, n }) =>
    await receivePart(request, env.FILES, outputKey(id, attempt, name), n),
});

const assembleRestored = defineRoute({
  method: "POST",
  path: "/restore/outputs/{id}/{attempt}/{name}/assemble",
  operationId: "assembleRestored",
  tag,
  summary: "Put the parts of a large file together",
  who,
  headers: [backupHeader, PIECES_OF_FILE],
  params: placeParams,
  body: assembleSchema,
  answers: STORED_ANSWERS,
  problems,
  admit: isUnderWay,
  handle: async ({ request, env, id, attempt, name, body }) => {
    const pieces = readPieces(request, body);
    if (!pieces.ok) return pieces;
    const whole = await assembleUpload(env.FILES, outputKey(id, attempt, name), { ...body, ...pieces.value });
    if (!whole.ok) return whole;
    const { sha256, size, created } = whole.value;
    return reply(created ? 201 : 200, { sha256, size });
  },
});

export const restoreRoutes: readonly Route[] = [
  beginRestore,
  abandonRestore,
  restoreRows,
  restoreOutput,
  listRestoredParts,
  restorePart,
  assembleRestored,
];
