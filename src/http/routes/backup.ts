/**
 * `GET /backup…`: everything that is stored, for admins. Rows come page by page; files come by
 * their key, under which the bytes never change.
 */
import { z } from "zod";
import { assetKey, ASSETS_PREFIX, outputKey } from "../../files/keys.ts";
import { wholeIn } from "../../files/piece-lists.ts";
import { hashOf, sizeOf } from "../../files/store.ts";
import { historyPage, totalsPage, type HistoryBackupPage } from "../../history/backup.ts";
import { ok, type Result } from "../../lib/result.ts";
import {
  BACKUP_PARTS,
  backupRowsSchema,
  type BackupRefusal,
  type BackupRow,
  type BackupRows,
} from "../../protocol/backup.ts";
import { idSchema } from "../../protocol/fields.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry, callTask } from "../../rpc/stubs.ts";
import { idOf, noSuch, storedName } from "../server/path-parameters.ts";
import { ADMINS, defineRoute, type Route } from "../server/route.ts";
import { answerObject, CONTENT_ANSWERS, RANGE_HEADER } from "../stored-content.ts";

/** `of=task` needs an id, and no other part takes one. */
export const ID_RULE = { path: ["id"], message: "goes with `of=task`, and `of=task` with it" };

export const readBackupRows = defineRoute({
  method: "GET",
  path: "/backup/rows",
  operationId: "readBackupRows",
  tag: "backup",
  summary: "Rows of the registry, of a task, of the history and its totals; the list of inputs",
  description:
    "For `tablao backup`. Secrets are in it as hashes only. Pages of one task belong together while their `version` is the same.",
  who: ADMINS,
  query: z
    .strictObject({
      of: z.enum(BACKUP_PARTS).meta({ description: "Which rows: `task` needs an `id`" }),
      id: idSchema.optional(),
      cursor: z.string().min(1).max(2_000).optional().meta({ description: "`cursor` of the page before" }),
    })
    .refine((query) => (query.of === "task") === (query.id !== undefined), ID_RULE),
  answers: { 200: { description: "A page of rows", schema: backupRowsSchema } },
  problems: ["not_found"],
  handle: async ({ env, query: { of, id = 0, cursor = null } }) => {
    switch (of) {
      case "registry":
        return toRefusal("registry", await callRegistry(env, (registry) => registry.backupPage(cursor)));
      case "task":
        return toRefusal(`task ${id}`, await callTask(env, id, (task) => task.backupPage(cursor)));
      case "history":
        return pageOrRefusal(await historyPage(env.HISTORY, cursor));
      case "totals":
        return pageOrRefusal(await totalsPage(env.HISTORY, cursor));
      case "assets":
        return await assetsPage(env, cursor);
    }
  },
});

/** An object's result; its refusal becomes a sentence about the object. */
export function toRefusal<T>(object: string, result: Result<T, BackupRefusal>): Result<T, Refusal> {
  return result.ok ? result : refuse(result.error.code, `The rows of the ${object} ${result.error.detail}.`);
}

function pageOrRefusal(page: HistoryBackupPage | null): Result<BackupRows, Refusal> {
  return page ? ok({ ...page, version: 0 }) : refuse("invalid", "cursor is not a cursor of this list", "cursor");
}

async function assetsPage(env: Env, cursor: string | null): Promise<Result<BackupRows, Refusal>> {
  // R2 throws for a cursor that is not its own. It takes any key as the key to list after.
  const startAfter = cursor === null ? undefined : assetKey(cursor);
  const page = await env.FILES.list({ prefix: ASSETS_PREFIX, include: ["customMetadata"], startAfter });
  const rows = page.objects.map((object): BackupRow => {
    const whole = wholeIn(object);
    return ["assets", { sha256: hashOf(object), size: sizeOf(object), ...(whole !== null && { whole }) }];
  });
  const last = page.objects.at(-1)?.key.slice(ASSETS_PREFIX.length);
  return ok({ rows, version: 0, cursor: page.truncated && last !== undefined ? last : null });
}

const readBackupOutput = defineRoute({
  method: "GET",
  path: "/backup/outputs/{id}/{attempt}/{name}",
  operationId: "readBackupOutput",
  tag: "backup",
  summary: "A task's file by the attempt it was stored under",
  who: ADMINS,
  params: { id: idOf("file"), attempt: idOf("file"), name: storedName("file") },
  headers: [RANGE_HEADER],
  answers: CONTENT_ANSWERS,
  problems: ["range_not_satisfiable"],
  handle: async ({ request, env, ctx, id, attempt, name }) => {
    const key = outputKey(id, attempt, name);
    const object = { key, name, cacheControl: "private, no-store" };
    return (await answerObject(request, env.FILES, object, ctx)) ?? noSuch("file");
  },
});

export const backupRoutes: readonly Route[] = [readBackupRows, readBackupOutput];
