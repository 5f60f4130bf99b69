/** A task's committed files: their list, one of them, all of them as a zip. */
import { z } from "zod";
import { disposition } from "../files/content.ts";
import { outputKey } from "../files/keys.ts";
import { fitsZip, MAX_ZIP_FILES, zipFiles } from "../files/zip.ts";
import { ok, type Result } from "../lib/result.ts";
import { framesSchema } from "../protocol/fields.ts";
import type { FileList } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { jsonResult, notFound } from "./answers.ts";
import { answerContent, ofLength } from "./bytes.ts";
import type { RequestContext } from "./context.ts";
import { mayRead } from "./grants.ts";
import { readQuery } from "./input.ts";
import { callTask } from "../rpc/stubs.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { previewQuery } from "./queries.ts";
import { idFrom } from "./request.ts";

/** Files per call to the task when all are wanted. */
const PAGE = 1_000;

/** Query of `GET /tasks/{id}/files`. */
export const fileListQuery = z.strictObject({
  frames: framesSchema.optional(),
  limit: z.int().min(1).max(PAGE).default(100).meta({ description: "Entries on a page, 100 by default" }),
  cursor: z.string().min(1).max(500).optional().meta({ description: "`cursor` of the page before" }),
});

/** Query of `GET /tasks/{id}/zip`. */
export const zipQuery = z.strictObject({ frames: framesSchema.optional() });

/** GET /tasks/{id}/files. */
export async function listFiles(request: Request, context: RequestContext): Promise<Response> {
  const id = idFrom(context.params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(context.url, fileListQuery);
  if (!query.ok) return problemResponse(query.error);
  const allowed = await mayRead(request, context, id);
  if (!allowed.ok) return problemResponse(allowed.error);
  return jsonResult(await callTask(context.env, id, (task) => task.files(query.value)));
}

/** GET and HEAD /tasks/{id}/frames/{frame}/file. */
export async function downloadFrame(request: Request, context: RequestContext): Promise<Response> {
  const { env, params, ctx } = context;
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  if (!/^(0|-?[1-9]\d{0,9})$/.test(params["frame"] ?? "")) return notFound("frame");
  const allowed = await mayRead(request, context, id);
  if (!allowed.ok) return problemResponse(allowed.error);
  const file = await callTask(env, id, (task) => task.file(Number(params["frame"])));
  if (!file.ok) return problemResponse(file.error);
  const { attempt, name, size, sha256 } = file.value;
  // A requeued frame gets other bytes under the same address, so a cache asks each time.
  return await answerContent(
    request,
    env.FILES,
    { key: outputKey(id, attempt, name), name, size, sha256, cacheControl: "private, no-cache" },
    ctx,
  );
}

/**
 * GET /tasks/{id}/frames/{frame}/preview. An address with the attempt never gets other bytes, so browsers keep it for ever; when
 * another attempt has been committed since, it is gone.
 */
export async function downloadPreview(request: Request, { env, params, url, ctx }: RequestContext): Promise<Response> {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  if (!/^(0|-?[1-9]\d{0,9})$/.test(params["frame"] ?? "")) return notFound("frame");
  const query = readQuery(url, previewQuery);
  if (!query.ok) return problemResponse(query.error);
  const file = await callTask(env, id, (task) => task.preview(Number(params["frame"])));
  if (!file.ok) return problemResponse(file.error);
  const { attempt, name, size, sha256 } = file.value;
  if (query.value.a !== undefined && query.value.a !== attempt)
    return problemResponse({
      code: "not_found",
      detail: `The frame was rendered again: attempt ${attempt} counts now.`,
    });
  const cacheControl = query.value.a === undefined ? "private, no-cache" : "private, max-age=31536000, immutable";
  return await answerContent(
    request,
    env.FILES,
    { key: outputKey(id, attempt, name), name, size, sha256, cacheControl },
    ctx,
  );
}

/** GET /tasks/{id}/zip. */
export async function downloadZip(_request: Request, { env, params, url, ctx }: RequestContext): Promise<Response> {
  const id = idFrom(params["id"]);
  if (id === null) return notFound("task");
  const query = readQuery(url, zipQuery);
  if (!query.ok) return problemResponse(query.error);
  const files = await allFiles(env, id, query.value.frames);
  if (!files.ok) return problemResponse(files.error);
  if (files.value.length === 0) return problemResponse({ code: "not_found", detail: "No files are committed yet." });
  const { length, stream } = zipFiles(env.FILES, id, files.value);
  return new Response(ofLength(stream, length, ctx), {
    headers: {
      "Content-Type": "application/zip",
      "Content-Length": String(length),
      "Content-Disposition": disposition("attachment", `task-${id}.zip`),
      "Cache-Control": "private, no-store",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

/** Every committed file: the zip's length must be known before its first byte. */
async function allFiles(
  env: RequestContext["env"],
  id: number,
  frames: string | undefined,
): Promise<Result<FileList["files"], Refusal>> {
  const files: FileList["files"] = [];
  let cursor: string | undefined;
  do {
    const query = { frames, cursor, limit: PAGE };
    const page = await callTask(env, id, (task) => task.files(query));
    if (!page.ok) return page;
    files.push(...page.value.files);
    if (!fitsZip(files))
      return refuse(
        "invalid",
        `One zip holds ${MAX_ZIP_FILES} files at most, and fewer when they are larger than 32 MiB; choose frames, such as ?frames=1-100.`,
        "frames",
      );
    cursor = page.value.cursor ?? undefined;
  } while (cursor !== undefined);
  return ok(files);
}
