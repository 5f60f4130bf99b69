/**
 * `/blender-builds…`: the builds of Blender that the farm keeps, and `/blender-files/{sha256}`: their archives. An
 * admin uploads an archive and then says which build it is; workers fetch it.
 */
import { deleteArchive, hasArchive } from "../../files/blender-files.ts";
import { blenderKey } from "../../files/keys.ts";
import { storeOnce } from "../../files/store.ts";
import { err, ok } from "../../lib/result.ts";
import { invalidFields } from "../../platform/problem-response.ts";
import {
  buildNameSchema,
  buildPutSchema,
  buildSchema,
  buildsSchema,
  BUILD_PLATFORMS,
} from "../../protocol/blender-build.ts";
import { fieldErrors } from "../../protocol/field-errors.ts";
import { assembleSchema } from "../../protocol/file.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { assetHash, noSuch, partNumber, type PathParameter } from "../server/path-parameters.ts";
import { reply } from "../server/responses.ts";
import { ADMINS, defineRoute, READERS, type Route } from "../server/route.ts";
import { answerObject, CONTENT_ANSWERS, RANGE_HEADER } from "../stored-content.ts";
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

const tag = "blender";

/** A part of a build's name. Its refusal is 422 and names the rule: it comes from a person's file or flag. */
function nameOf<K extends keyof typeof buildNameSchema.shape>(
  field: K,
): PathParameter<(typeof buildNameSchema.shape)[K]["_output"]> {
  const schema = buildNameSchema.shape[field];
  return {
    schema,
    read: (text) => {
      const parsed = schema.safeParse(text);
      return parsed.success ? ok(parsed.data) : err(invalidFields(fieldErrors(parsed.error.issues, [field])));
    },
  };
}

const build = { version: nameOf("version"), platform: nameOf("platform") };
const file = { sha256: assetHash };

const listBuilds = defineRoute({
  method: "GET",
  path: "/blender-builds",
  operationId: "listBlenderBuilds",
  tag,
  summary: "The builds of Blender that the farm keeps for its workers, and what tasks need",
  who: READERS,
  answers: { 200: { description: "The newest version first", schema: buildsSchema } },
  handle: async ({ env, principal }) => {
    const builds = await callRegistry(env, (registry) => registry.listBuilds());
    if (principal.role === "worker") return ok({ builds });
    return ok({ builds, needs: await callRegistry(env, (registry) => registry.blenderNeeds()) });
  },
});

const putBuild = defineRoute({
  method: "PUT",
  path: "/blender-builds/{version}/{platform}",
  operationId: "putBlenderBuild",
  tag,
  summary: "Keep a build, whose archive was uploaded before",
  description:
    `Workers of the platform that lack the version fetch the archive, check its SHA-256, and run what is in it. One of ${BUILD_PLATFORMS.join(", ")}. ` +
    "A build of the same version and platform is replaced.",
  who: ADMINS,
  params: build,
  body: buildPutSchema,
  answers: { 200: { description: "Kept", schema: buildSchema } },
  problems: ["invalid", "conflict"],
  handle: async ({ env, version, platform, body, principal }) => {
    if (!(await hasArchive(env.FILES, body.sha256, body.bytes))) return notUploaded(body.bytes);
    const kept = { version, platform, ...body, added_by: principal.name, added_ms: Date.now() };
    const put = await callRegistry(env, (registry) => registry.putBuild(kept));
    if (!put.ok) return put;
    if (put.value.unused !== null) await deleteUnused(env, put.value.unused);
    return ok(kept);
  },
});

const removeBuild = defineRoute({
  method: "DELETE",
  path: "/blender-builds/{version}/{platform}",
  operationId: "removeBlenderBuild",
  tag,
  summary: "Keep a build no more, and delete its archive",
  description: "Workers that have fetched it keep it.",
  who: ADMINS,
  params: build,
  answers: { 204: { description: "Done" } },
  problems: ["invalid"],
  handle: async ({ env, version, platform }) => {
    const removed = await callRegistry(env, (registry) => registry.removeBuild(version, platform));
    if (!removed.ok) return removed;
    if (removed.value.unused !== null) await deleteUnused(env, removed.value.unused);
    return ok(null);
  },
});

const putFile = defineRoute({
  method: "PUT",
  path: "/blender-files/{sha256}",
  operationId: "putBlenderFile",
  tag,
  summary: "Upload the archive of a build",
  description: "At most 32 MiB; anything larger goes in parts. An archive that no build names is deleted after a week.",
  who: ADMINS,
  headers: [LENGTH_HEADER],
  params: file,
  upload: true,
  answers: STORED_ANSWERS,
  problems: UPLOAD_PROBLEMS,
  handle: async ({ request, env, sha256 }) => {
    const upload = readUpload(request, { value: sha256, field: "sha256" });
    if (!upload.ok) return upload;
    const stored = await storeOnce(env.FILES, { ...upload.value, key: blenderKey(sha256) });
    return stored.ok ? reply(stored.value.created ? 201 : 200, { sha256, size: upload.value.size }) : stored;
  },
});

const getFile = defineRoute({
  method: "GET",
  path: "/blender-files/{sha256}",
  operationId: "getBlenderFile",
  tag,
  summary: "The archive of a build",
  who: ["admin", "worker"],
  headers: [RANGE_HEADER],
  params: file,
  answers: CONTENT_ANSWERS,
  problems: ["invalid", "range_not_satisfiable"],
  handle: async ({ request, env, ctx, sha256 }) => {
    const cacheControl = "private, max-age=31536000, immutable";
    const object = { key: blenderKey(sha256), name: sha256, cacheControl, sha256 };
    return (await answerObject(request, env.FILES, object, ctx)) ?? noSuch("archive");
  },
});

const listFileParts = defineRoute({
  method: "GET",
  path: "/blender-files/{sha256}/parts",
  operationId: "listBlenderFileParts",
  tag,
  summary: "Parts of an archive that have arrived",
  who: ADMINS,
  params: file,
  answers: PARTS_ANSWERS,
  problems: ["invalid"],
  handle: async ({ env, sha256 }) => ok(await arrivedParts(env.FILES, blenderKey(sha256))),
});

const putFilePart = defineRoute({
  method: "PUT",
  path: "/blender-files/{sha256}/parts/{n}",
  operationId: "putBlenderFilePart",
  tag,
  summary: "Upload one part of an archive",
  description: "Exactly 32 MiB; the last part may be shorter.",
  who: ADMINS,
  headers: [HASH_HEADER, LENGTH_HEADER],
  params: { ...file, n: partNumber },
  upload: true,
  answers: { 204: { description: "Stored" } },
  problems: UPLOAD_PROBLEMS,
  handle: async ({ request, env, sha256, n }) => await receivePart(request, env.FILES, blenderKey(sha256), n),
});

const assembleFile = defineRoute({
  method: "POST",
  path: "/blender-files/{sha256}/assemble",
  operationId: "assembleBlenderFile",
  tag,
  summary: "Put an archive's parts together",
  who: ADMINS,
  headers: [PIECES_OF_FILE],
  params: file,
  body: assembleSchema,
  answers: STORED_ANSWERS,
  problems: ["conflict"],
  handle: async ({ request, env, sha256, body }) => {
    if (body.sha256 !== sha256) return refuse("invalid", "sha256 must be the one in the path.", "sha256");
    const pieces = readPieces(request, body);
    if (!pieces.ok) return pieces;
    const whole = await assembleUpload(env.FILES, blenderKey(sha256), { ...body, ...pieces.value });
    return whole.ok ? reply(whole.value.created ? 201 : 200, { sha256, size: whole.value.size }) : whole;
  },
});

export const blenderBuildRoutes: readonly Route[] = [
  listBuilds,
  putBuild,
  removeBuild,
  putFile,
  getFile,
  listFileParts,
  putFilePart,
  assembleFile,
];

function notUploaded(bytes: number): { ok: false; error: Refusal } {
  return refuse(
    "conflict",
    `No archive of ${bytes} bytes with this SHA-256 has been uploaded: send it to /blender-files/{sha256} first.`,
    "sha256",
  );
}

/** The build is gone whatever happens here: the daily job deletes what is left. */
async function deleteUnused(env: Env, sha256: string): Promise<void> {
  await deleteArchive(env.FILES, sha256).catch((error: unknown) =>
    console.warn(JSON.stringify({ at: "blender builds", sha256, error: String(error) })),
  );
}
