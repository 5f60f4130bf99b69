/** A task's committed files: their list, one of them, all of them as one archive. */
import { z } from "zod";
import { ARCHIVE_TYPES, archiveOf } from "../../files/archive/archive.ts";
import { pipeArchive } from "../../files/archive/pipe.ts";
import { disposition, type ByteRange } from "../../files/content.ts";
import { outputKey } from "../../files/keys.ts";
import { ok, type Result } from "../../lib/result.ts";
import { ARCHIVE_FORMATS, archiveParts, MAX_ARCHIVE_READS } from "../../protocol/archive.ts";
import { framesSchema } from "../../protocol/fields.ts";
import { fileListSchema, GRANT_HEADER, type FileList } from "../../protocol/file.ts";
import type { HeaderDescription } from "../../protocol/openapi.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { callTask } from "../../rpc/stubs.ts";
import { mayRead } from "../grants.ts";
import { pageCursor, pageLimit } from "../server/paging.ts";
import { frameNumber, taskId } from "../server/path-parameters.ts";
import { defineRoute, PEOPLE, TASK_READERS, VIEWERS, type Route } from "../server/route.ts";
import { answerContent, answerRange, CONTENT_ANSWERS, RANGE_HEADER } from "../stored-content.ts";

const tag = "files";
const readGrant: HeaderDescription = {
  name: GRANT_HEADER,
  description: "Workers only: a lease's grant that names the task",
};

/**
 * Files per call to the task. With a higher value, lease calls of the task wait longer behind one
 * answer.
 */
const PAGE = 1_000;

export const listFiles = defineRoute({
  method: "GET",
  path: "/tasks/{id}/files",
  operationId: "listFiles",
  tag,
  summary: "Committed files in frame order",
  who: TASK_READERS,
  headers: [readGrant],
  params: { id: taskId },
  query: z.strictObject({ frames: framesSchema.optional(), limit: pageLimit(100, PAGE), cursor: pageCursor }),
  answers: { 200: { description: "A page of files", schema: fileListSchema } },
  problems: ["lease_lost"],
  handle: async ({ request, env, id, query, principal }) => {
    const allowed = await mayRead({ request, env, principal }, id);
    if (!allowed.ok) return allowed;
    return await callTask(env, id, (task) => task.files(query));
  },
});

export const downloadFrame = defineRoute({
  method: "GET",
  path: "/tasks/{id}/frames/{frame}/file",
  operationId: "downloadFrame",
  tag,
  summary: "One frame's file",
  who: TASK_READERS,
  headers: [readGrant, RANGE_HEADER],
  params: { id: taskId, frame: frameNumber },
  answers: CONTENT_ANSWERS,
  problems: ["range_not_satisfiable", "lease_lost"],
  handle: async ({ request, env, ctx, id, frame, principal }) => {
    const allowed = await mayRead({ request, env, principal }, id);
    if (!allowed.ok) return allowed;
    const file = await callTask(env, id, (task) => task.file(frame));
    if (!file.ok) return file;
    const { attempt, name, size, sha256, pieces } = file.value;
    // A requeued frame gets other bytes under the same address, so a cache must ask each time.
    return await answerContent(
      request,
      env.FILES,
      { key: outputKey(id, attempt, name), name, size, sha256, pieces, cacheControl: "private, no-cache" },
      ctx,
    );
  },
});

/**
 * An address with an attempt never gets other bytes, so browsers may keep its answer for ever. When
 * another attempt has been committed since, it is a 404.
 */
const downloadPreview = defineRoute({
  method: "GET",
  path: "/tasks/{id}/frames/{frame}/preview",
  operationId: "downloadPreview",
  tag,
  summary: "A small picture of one frame",
  description: "A JPEG, tone-mapped where the frame is one of high dynamic range. Agents without ffmpeg make none.",
  who: VIEWERS,
  params: { id: taskId, frame: frameNumber },
  query: z.strictObject({
    a: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "The frame's attempt: the address then names these very bytes for ever" }),
  }),
  headers: [RANGE_HEADER],
  answers: { ...CONTENT_ANSWERS, 200: { description: "The picture", media: "image/jpeg" } },
  problems: ["range_not_satisfiable"],
  handle: async ({ request, env, ctx, id, frame, query }) => {
    const file = await callTask(env, id, (task) => task.preview(frame));
    if (!file.ok) return file;
    const { attempt, name, size, sha256 } = file.value;
    if (query.a !== undefined && query.a !== attempt)
      return refuse("not_found", `The frame was rendered again: attempt ${attempt} counts now.`);
    const cacheControl = query.a === undefined ? "private, no-cache" : "private, max-age=31536000, immutable";
    return await answerContent(
      request,
      env.FILES,
      { key: outputKey(id, attempt, name), name, size, sha256, cacheControl },
      ctx,
    );
  },
});

export const downloadZip = defineRoute({
  method: "GET",
  path: "/tasks/{id}/zip",
  operationId: "downloadZip",
  tag,
  summary: "The committed files as one zip or tar",
  description:
    "Not compressed. A tar where an agent sent no CRC-32 of a file, which a zip needs. A download that broke off can go on by `Range` " +
    `with the \`ETag\` in \`If-Range\`. At most ${MAX_ARCHIVE_READS} files, fewer where they are larger than 32 MiB: \`frames\` chooses.`,
  who: PEOPLE,
  params: { id: taskId },
  query: z.strictObject({
    frames: framesSchema.optional(),
    format: z
      .enum(ARCHIVE_FORMATS)
      .optional()
      .meta({ description: "By default a zip where the CRC-32 of each file is known, else a tar" }),
  }),
  headers: [RANGE_HEADER],
  answers: {
    200: { description: "The archive", media: ARCHIVE_TYPES },
    206: { description: "The range", media: ARCHIVE_TYPES },
    304: { description: "Unchanged" },
  },
  problems: ["range_not_satisfiable"],
  handle: async ({ request, env, ctx, id, query }) => {
    const files = await allFiles(env, id, query.frames);
    if (!files.ok) return files;
    if (files.value.length === 0) return refuse("not_found", "No files are committed yet.");
    const archive = await archiveOf(id, files.value, query.format);
    if (!archive.ok) return archive;
    const { layout, etag, format, mediaType } = archive.value;
    const content = {
      size: layout.size,
      etag,
      // A requeued frame gets other bytes under the same address, so a cache must ask each time.
      cacheControl: "private, no-cache",
      headers: {
        "Content-Type": mediaType,
        "Content-Disposition": disposition("attachment", `task-${id}.${format}`),
        "X-Content-Type-Options": "nosniff",
      },
      open: async (range: ByteRange | null) => ({
        pipeTo: (to: WritableStream<Uint8Array>) =>
          pipeArchive(env.FILES, archive.value, range ?? { offset: 0, length: layout.size }, to),
      }),
    };
    return await answerRange(request, content, ctx);
  },
});

/**
 * Every committed file of the frames asked for. The list must be complete before the first byte is
 * sent: the length of the archive is a header. Refusal: `invalid`, for more files than one archive
 * takes.
 */
async function allFiles(env: Env, id: number, frames: string | undefined): Promise<Result<FileList["files"], Refusal>> {
  const files: FileList["files"] = [];
  let cursor: string | undefined;
  do {
    const query = { frames, cursor, limit: PAGE };
    const page = await callTask(env, id, (task) => task.files(query));
    if (!page.ok) return page;
    files.push(...page.value.files);
    const [part, ...more] = archiveParts(files);
    if (part && !part.fits)
      return refuse(
        "invalid",
        `The file of frame ${part.first} is too large for an archive; fetch it alone: /tasks/${id}/frames/${part.first}/file.`,
        "frames",
      );
    if (part && more.length > 0)
      return refuse(
        "invalid",
        `One archive takes ${MAX_ARCHIVE_READS} files at most, and fewer when they are larger than 32 MiB; fetch these in several, the first with ?frames=${part.frames}.`,
        "frames",
      );
    cursor = page.value.cursor ?? undefined;
  } while (cursor !== undefined);
  return ok(files);
}

export const downloadRoutes: readonly Route[] = [listFiles, downloadFrame, downloadPreview, downloadZip];
