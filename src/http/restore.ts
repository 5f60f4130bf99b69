/**
 * `/restore…`: a backup into an empty manager, for admins. Files first, then the history, then the tasks (oldest first: a task
 * may wait for older ones only), and the registry's rows last: until then nobody but the admin has a token, and nothing is
 * given out.
 */
import type { z } from "zod";
import { storeOnce } from "../files/store.ts";
import { writeRows } from "../history/store.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { fieldErrors } from "../protocol/field-errors.ts";
import {
  BACKUP_FORMAT,
  BACKUP_HEADER,
  backupRowSchema,
  historyRowSchema,
  MAX_ROWS_BYTES,
  restoreSchema,
  type BackupRow,
} from "../protocol/backup.ts";
import type { assetSchema } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { json, noContent } from "./answers.ts";
import { outputKeyOf, restoreRowsQuery, told } from "./backup.ts";
import { readTextWithin } from "./body.ts";
import type { Handler, RequestContext } from "./context.ts";
import { readBody, readQuery } from "./input.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";
import { invalidFields, problemResponse } from "../platform/problem-response.ts";
import { answerParts, assembleUpload, readUpload, refuseUpload, takePart } from "./uploads.ts";

/** POST /restore: begin, or go on. */
export const beginRestore: Handler = async (request, { env }) => {
  const restore = await readBody(request, restoreSchema);
  if (!restore.ok) return problemResponse(restore.error);
  const { backup, format } = restore.value;
  if (format !== BACKUP_FORMAT)
    return problemResponse(
      refuse("invalid", `This manager takes backups of format ${BACKUP_FORMAT}, not ${format}.`, "format").error,
    );
  const begun = await callRegistry(env, (registry) => registry.beginRestore(backup));
  return begun.ok ? noContent() : problemResponse(begun.error);
};

/** Ok while the backup that the request names is being restored here. */
async function underWay(request: Request, { env }: RequestContext): Promise<Result<null, Refusal>> {
  const backup = request.headers.get(BACKUP_HEADER);
  if (backup === null)
    return refuse("invalid", `Say which backup it is in the header ${BACKUP_HEADER}.`, BACKUP_HEADER);
  return await callRegistry(env, (registry) => registry.isRestoring(backup));
}

/** POST /restore/rows */
export const restoreRows: Handler = async (request, context) => {
  const query = readQuery(context.url, restoreRowsQuery);
  if (!query.ok) return problemResponse(query.error);
  const allowed = await underWay(request, context);
  if (!allowed.ok) return problemResponse(allowed.error);
  const rows = await readRows(request);
  if (!rows.ok) return problemResponse(rows.error);
  const { of, id = 0, last } = query.value;
  const { env } = context;
  // With its definition a task exists, and nobody may see one that is half there.
  if (of === "task" && !last && rows.value.some(([table]) => table === "definition"))
    return problemResponse(refuse("invalid", "A task's definition comes with the last of its rows.", "last").error);
  if (of === "task" && rows.value.some(([table, row]) => table === "definition" && !isOf(row, id)))
    return problemResponse(refuse("invalid", `These are the rows of another task than ${id}.`, "id").error);
  const put =
    of === "registry"
      ? told("registry", await callRegistry(env, (registry) => registry.restoreRows(rows.value, last)))
      : of === "task"
        ? told(`task ${id}`, await callTask(env, id, (task) => task.restoreRows(rows.value, last)))
        : await restoreHistory(context, rows.value);
  return put.ok ? noContent() : problemResponse(put.error);
};

function isOf(definition: BackupRow[1], id: number): boolean {
  const json = jsonOf(definition["json"]);
  return typeof json === "object" && json !== null && "id" in json && json.id === id;
}

/** One row a line. */
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

async function restoreHistory({ env }: RequestContext, rows: readonly BackupRow[]): Promise<Result<null, Refusal>> {
  const history = [];
  for (const [index, [, row]] of rows.entries()) {
    const read = historyRowSchema.safeParse({ ...row, events: jsonOf(row["events"]) });
    if (!read.success) return err(invalidFields(fieldErrors(read.error.issues, [`line ${index + 1}`])));
    history.push(read.data);
  }
  await writeRows(env.HISTORY, history);
  return ok(null);
}

function jsonOf(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}

/** Where a committed file goes, while its backup is being restored. */
async function targetOf(request: Request, context: RequestContext): Promise<Result<string, Refusal>> {
  const key = outputKeyOf(context);
  if (key === null) return refuse("not_found", "There is no such place for a file.");
  const allowed = await underWay(request, context);
  return allowed.ok ? ok(key) : allowed;
}

function stored(sha256: string, size: number, created: boolean): Response {
  return json({ sha256, size } satisfies z.infer<typeof assetSchema>, created ? 201 : 200);
}

/** PUT /restore/outputs/{id}/{attempt}/{name} */
export const restoreOutput: Handler = async (request, context) => {
  const target = await targetOf(request, context);
  if (!target.ok) return await refuseUpload(request, target.error);
  const upload = readUpload(request);
  if (!upload.ok) return await refuseUpload(request, upload.error);
  const put = await storeOnce(context.env.FILES, { ...upload.value, key: target.value });
  return put.ok ? stored(upload.value.sha256, upload.value.size, put.value.created) : problemResponse(put.error);
};

/** GET /restore/outputs/{id}/{attempt}/{name}/parts */
export const getRestoredParts: Handler = async (request, context) => {
  const target = await targetOf(request, context);
  return target.ok ? await answerParts(context.env.FILES, target.value) : problemResponse(target.error);
};

/** PUT /restore/outputs/{id}/{attempt}/{name}/parts/{n} */
export const restorePart: Handler = async (request, context) => {
  const target = await targetOf(request, context);
  if (!target.ok) return await refuseUpload(request, target.error);
  return await takePart(request, context.env.FILES, target.value, context.params["n"]);
};

/** POST /restore/outputs/{id}/{attempt}/{name}/assemble */
export const assembleRestored: Handler = async (request, context) => {
  const target = await targetOf(request, context);
  if (!target.ok) return problemResponse(target.error);
  const whole = await assembleUpload(request, context.env.FILES, target.value);
  if (!whole.ok) return problemResponse(whole.error);
  return stored(whole.value.sha256, whole.value.size, whole.value.created);
};
