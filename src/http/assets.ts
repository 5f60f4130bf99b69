/** Inputs by content: `/assets/{sha256}`. The hash is the name, so a file is stored once, whoever sends it. */
import type { z } from "zod";
import { assetKey } from "../files/keys.ts";
import { missingKeys, sizeOf, storeOnce } from "../files/store.ts";
import { ok, type Result } from "../lib/result.ts";
import { sha256Schema } from "../protocol/fields.ts";
import { missingSchema, type assetSchema, type missingResultSchema } from "../protocol/file.ts";
import { refuse, type Refusal } from "../protocol/problem.ts";
import { json } from "./answers.ts";
import { answerContent } from "./bytes.ts";
import type { RequestContext } from "./context.ts";
import { readBody } from "./input.ts";
import { problemResponse } from "../platform/problem-response.ts";
import { answerParts, assembleUpload, readUpload, refuseUpload, takePart } from "./uploads.ts";

type Asset = z.infer<typeof assetSchema>;

function hashInPath(params: Record<string, string>): Result<string, Refusal> {
  const sha256 = params["sha256"] ?? "";
  if (sha256Schema.safeParse(sha256).success) return ok(sha256);
  return refuse("invalid", "An asset's name is its SHA-256: 64 lower-case hexadecimal digits.", "sha256");
}

/** POST /assets/missing: which of these are not here yet. */
export async function findMissingAssets(request: Request, { env }: RequestContext): Promise<Response> {
  const wanted = await readBody(request, missingSchema);
  if (!wanted.ok) return problemResponse(wanted.error);
  const hashes = [...new Set(wanted.value.sha256)];
  const missing = new Set(await missingKeys(env.FILES, hashes.map(assetKey)));
  return json({ missing: hashes.filter((sha256) => missing.has(assetKey(sha256))) } satisfies z.infer<
    typeof missingResultSchema
  >);
}

/** PUT /assets/{sha256}: 201, or 200 when it was there. */
export async function putAsset(request: Request, { env, params }: RequestContext): Promise<Response> {
  const sha256 = hashInPath(params);
  if (!sha256.ok) return await refuseUpload(request, sha256.error);
  const upload = readUpload(request, { value: sha256.value, field: "sha256" });
  if (!upload.ok) return await refuseUpload(request, upload.error);
  const stored = await storeOnce(env.FILES, { ...upload.value, key: assetKey(sha256.value) });
  if (!stored.ok) return problemResponse(stored.error);
  return json({ sha256: sha256.value, size: upload.value.size } satisfies Asset, stored.value.created ? 201 : 200);
}

/** GET and HEAD /assets/{sha256}. */
export async function getAsset(request: Request, { env, params, ctx }: RequestContext): Promise<Response> {
  const sha256 = hashInPath(params);
  if (!sha256.ok) return problemResponse(sha256.error);
  const object = await env.FILES.head(assetKey(sha256.value));
  if (!object) return problemResponse({ code: "not_found", detail: "There is no such asset." });
  const content = {
    key: object.key,
    size: sizeOf(object),
    sha256: sha256.value,
    name: sha256.value,
    cacheControl: "private, max-age=31536000, immutable",
  };
  return await answerContent(request, env.FILES, content, ctx);
}

/** GET /assets/{sha256}/parts. */
export async function getAssetParts(_request: Request, { env, params }: RequestContext): Promise<Response> {
  const sha256 = hashInPath(params);
  return sha256.ok ? await answerParts(env.FILES, assetKey(sha256.value)) : problemResponse(sha256.error);
}

/** PUT /assets/{sha256}/parts/{n}. */
export async function putAssetPart(request: Request, { env, params }: RequestContext): Promise<Response> {
  const sha256 = hashInPath(params);
  if (!sha256.ok) return await refuseUpload(request, sha256.error);
  return await takePart(request, env.FILES, assetKey(sha256.value), params["n"]);
}

/** POST /assets/{sha256}/assemble: 201, or 200 when it was there. */
export async function assembleAsset(request: Request, { env, params }: RequestContext): Promise<Response> {
  const hash = hashInPath(params);
  if (!hash.ok) return problemResponse(hash.error);
  const whole = await assembleUpload(request, env.FILES, assetKey(hash.value), hash.value);
  if (!whole.ok) return problemResponse(whole.error);
  const { created, sha256, size } = whole.value;
  return json({ sha256, size } satisfies Asset, created ? 201 : 200);
}
