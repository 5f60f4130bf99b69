/** `GET /backup…`: everything that is stored, for admins. Rows by the page; files by their key, under which nothing ever changes. */
import { z } from "zod";
import { assetKey, ASSETS_PREFIX, outputKey } from "../files/keys.ts";
import { hashOf, sizeOf } from "../files/store.ts";
import type { BackupRefusal } from "../protocol/backup.ts";
import type { Env } from "../rpc/env.ts";
import { ok, type Result } from "../lib/result.ts";
import { BACKUP_PARTS, type BackupRow, type BackupRows } from "../protocol/backup.ts";
import { fileNameSchema, idSchema } from "../protocol/fields.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { jsonResult, notFound } from "./answers.ts";
import { answerContent } from "./bytes.ts";
import type { Handler, RequestContext } from "./context.ts";
import { readQuery } from "./input.ts";
import { callRegistry, callTask } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { idFrom } from "./request.ts";

/** Rows of the history on a page, at most 33 kB each. */
const HISTORY_PAGE = 100;

export const backupRowsQuery = z
  .strictObject({
    of: z.enum(BACKUP_PARTS).meta({ description: "Which rows: `task` needs an `id`" }),
    id: idSchema.optional(),
    cursor: z.string().min(1).max(2_000).optional().meta({ description: "`cursor` of the page before" }),
  })
  .refine((query) => (query.of === "task") === (query.id !== undefined), {
    path: ["id"],
    message: "goes with `of=task`, and `of=task` with it",
  });

export const restoreRowsQuery = z
  .strictObject({
    of: z.enum(["registry", "task", "history"]).meta({ description: "Which rows: `task` needs an `id`" }),
    id: idSchema.optional(),
    last: z
      .boolean()
      .default(false)
      .meta({ description: "These complete the task, or the registry and with it the restore" }),
  })
  .refine((query) => (query.of === "task") === (query.id !== undefined), {
    path: ["id"],
    message: "goes with `of=task`, and `of=task` with it",
  });

/** GET /backup/rows */
export const readBackupRows: Handler = async (_request, { env, url }) => {
  const query = readQuery(url, backupRowsQuery);
  if (!query.ok) return problemResponse(query.error);
  const { of, id = 0, cursor = null } = query.value;
  switch (of) {
    case "registry":
      return jsonResult(told("registry", await callRegistry(env, (registry) => registry.backupPage(cursor))));
    case "task":
      return jsonResult(told(`task ${id}`, await callTask(env, id, (task) => task.backupPage(cursor))));
    case "history":
      return jsonResult(await historyPage(env, cursor));
    case "assets":
      return jsonResult(await assetsPage(env, cursor));
  }
};

/** An object's refusal as a sentence. */
export function told<T>(whose: string, result: Result<T, BackupRefusal>): Result<T, Refusal> {
  return result.ok ? result : refuse(result.error.code, `The rows of the ${whose} ${result.error.detail}.`);
}

async function historyPage(env: Env, cursor: string | null): Promise<Result<BackupRows, Refusal>> {
  const after = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor ?? "0.0");
  if (!after) return refuse("invalid", "cursor is not a cursor of this list", "cursor");
  const { results } = await env.HISTORY.prepare(
    "SELECT * FROM history WHERE (task_id, seq) > (?1, ?2) ORDER BY task_id, seq LIMIT ?3",
  )
    .bind(Number(after[1]), Number(after[2]), HISTORY_PAGE)
    .all<BackupRow[1]>();
  const last = results.length === HISTORY_PAGE ? results.at(-1) : undefined;
  const next = last ? `${last["task_id"]}.${last["seq"]}` : null;
  return ok({ rows: results.map((row): BackupRow => ["history", row]), version: 0, cursor: next });
}

async function assetsPage(env: Env, cursor: string | null): Promise<Result<BackupRows, Refusal>> {
  // The bucket's own cursors throw when they are not its own; a key it lists after is always right.
  const startAfter = cursor === null ? undefined : assetKey(cursor);
  const page = await env.FILES.list({ prefix: ASSETS_PREFIX, include: ["customMetadata"], startAfter });
  const rows = page.objects.map((object): BackupRow => ["assets", { sha256: hashOf(object), size: sizeOf(object) }]);
  const last = page.objects.at(-1)?.key.slice(ASSETS_PREFIX.length);
  return ok({ rows, version: 0, cursor: page.truncated && last !== undefined ? last : null });
}

/** The key of `/…/outputs/{id}/{attempt}/{name}`, or null. */
export function outputKeyOf({ params }: Pick<RequestContext, "params">): string | null {
  const [id, attempt] = [idFrom(params["id"]), idFrom(params["attempt"])];
  const name = fileNameSchema.safeParse(params["name"]);
  return id === null || attempt === null || !name.success ? null : outputKey(id, attempt, name.data);
}

/** GET and HEAD /backup/outputs/{id}/{attempt}/{name} */
export const readBackupOutput: Handler = async (request, context) => {
  const key = outputKeyOf(context);
  const object = key === null ? null : await context.env.FILES.head(key);
  if (!object) return notFound("file");
  const content = { key: object.key, size: sizeOf(object), sha256: hashOf(object), name: context.params["name"]! };
  return await answerContent(
    request,
    context.env.FILES,
    { ...content, cacheControl: "private, no-store" },
    context.ctx,
  );
};
