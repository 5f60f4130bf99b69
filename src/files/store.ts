/** One object, stored whole or not at all. R2 itself checks the hash while the bytes stream through. */
import { mapConcurrent } from "../lib/concurrency.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";
import { ASSETS_PREFIX } from "./keys.ts";

export interface Upload {
  key: string;
  /** Null for no bytes at all. Bytes that are in memory have `size`. */
  body: ReadableStream<Uint8Array> | Uint8Array | null;
  /** Bytes, as the client said: more or fewer are refused. */
  size: number;
  /** Of these bytes, as the client said: R2 refuses others. */
  sha256: string;
  /** Where the client said the hash; errors name it. */
  hashField: string;
}

/** R2's code for bytes that do not have the hash they were announced with. */
const BAD_DIGEST = "(10037)";

/**
 * Store an object that is never overwritten. `created` is false when these very bytes were there. Refusals: `invalid_request`
 * (another length), `invalid` (another hash), `conflict` (another content is stored there), `overloaded`.
 */
export async function storeOnce(bucket: R2Bucket, upload: Upload): Promise<Result<{ created: boolean }, Refusal>> {
  const stored = await put(bucket, upload, { onlyIf: { etagDoesNotMatch: "*" } });
  if (!stored.ok) return stored;
  if (stored.value) return ok({ created: true });
  return await whatIsThere(bucket, upload.key, upload);
}

/** After a write that found something there: whether that is what was announced. */
export async function whatIsThere(
  bucket: R2Bucket,
  key: string,
  announced: { size: number; sha256: string },
): Promise<Result<{ created: false }, Refusal>> {
  try {
    const present = await bucket.head(key);
    if (!present) return err({ code: "overloaded", detail: "The file was being deleted; send it again." });
    return sameContent(present, announced);
  } catch (error) {
    return err(storageRefusal("head", error));
  }
}

/** Store an object over whatever is there. Refusals as of `storeOnce`, but for `conflict`. */
export async function storeOver(bucket: R2Bucket, upload: Upload): Promise<Result<null, Refusal>> {
  const stored = await put(bucket, upload, {});
  return stored.ok ? ok(null) : stored;
}

/** Whether what is stored is what was announced. */
export function sameContent(
  present: R2Object,
  announced: { size: number; sha256: string },
): Result<{ created: false }, Refusal> {
  if (sizeOf(present) === announced.size && hashOf(present) === announced.sha256) return ok({ created: false });
  return err({ code: "conflict", detail: "Another content is already stored under this name and attempt; it stays." });
}

/** The SHA-256 of a stored object. It is in our metadata because R2 keeps no hash of an object made of parts. */
export function hashOf(object: R2Object): string {
  return object.customMetadata?.["sha256"] ?? "";
}

/** The bytes of a stored file: a large one's object is only its manifest, which says them. */
export function sizeOf(object: R2Object): number {
  return Number(object.customMetadata?.["size"] ?? object.size);
}

/** R2 deletes at most so many objects a call. */
const DELETED_AT_ONCE = 1_000;

/** Delete these objects and nothing else. */
export async function deleteKeys(bucket: R2Bucket, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += DELETED_AT_ONCE)
    await bucket.delete(keys.slice(from, from + DELETED_AT_ONCE));
}

/** True when stored, false when the condition did not hold. */
async function put(bucket: R2Bucket, upload: Upload, condition: R2PutOptions): Promise<Result<boolean, Refusal>> {
  const options = { ...condition, sha256: upload.sha256, customMetadata: { sha256: upload.sha256 } };
  // The types do not know that a put without a condition never answers null.
  const store = async (body: ReadableStream | Uint8Array): Promise<boolean> =>
    ((await bucket.put(upload.key, body, options)) as R2Object | null) !== null;
  if (upload.body instanceof Uint8Array) {
    try {
      return ok(await store(upload.body));
    } catch (error) {
      return err(whyRefused(error, undefined, upload));
    }
  }
  // R2 takes a stream of known length only; this one also fails when the body is shorter or longer than it.
  const fixed = new FixedLengthStream(upload.size);
  const done = new AbortController();
  let broken: unknown;
  const piped = (upload.body ?? emptyBody()).pipeTo(fixed.writable, { signal: done.signal }).catch((error: unknown) => {
    broken = error;
  });
  try {
    return ok(await store(fixed.readable));
  } catch (error) {
    return err(whyRefused(error, broken, upload));
  } finally {
    // A put that failed, or whose condition did not hold, may have left the body unread.
    done.abort();
    await piped;
  }
}

function emptyBody(): ReadableStream<Uint8Array> {
  return new Blob([]).stream();
}

function whyRefused(error: unknown, broken: unknown, upload: Upload): Refusal {
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes(BAD_DIGEST)) {
    const detail = `The bytes that came do not have the SHA-256 in ${upload.hashField}; nothing was stored.`;
    return {
      code: "invalid",
      detail,
      errors: [{ field: upload.hashField, message: "is not the SHA-256 of the bytes that came" }],
    };
  }
  if (/FixedLengthStream|fixed-length/.test(`${message} ${String(broken)}`)) {
    return {
      code: "invalid_request",
      detail: `The body does not have the ${upload.size} bytes that Content-Length says; nothing was stored.`,
    };
  }
  if (broken !== undefined) return { code: "invalid_request", detail: "The body broke off; nothing was stored." };
  return storageRefusal("put", error);
}

/** R2 failed us: the client may try again, the log says why. */
export function storageRefusal(verb: string, error: unknown): Refusal {
  console.warn(`R2 ${verb} failed: ${error instanceof Error ? error.message : String(error)}`);
  return { code: "overloaded", detail: "The file storage did not answer as it should; try again shortly." };
}

/** Existence checks at a time: R2 allows six connections, the rest waits in line. */
const HEADS_AT_ONCE = 20;
/** A page of a listing is a class A operation, twelve times the price of a check, and takes as long as thirty, six at a time. */
const LIST_FOR = 40;

/**
 * Which of these assets' keys have no object, in the order given. Pages of a listing answer for as long as each says enough about
 * what is asked, single checks for the rest: most buckets fit into a few pages, and in a large one the first page shows it.
 */
export async function missingKeys(bucket: R2Bucket, keys: readonly string[]): Promise<string[]> {
  const present = new Set<string>();
  let open = keys.toSorted();
  while (open.length >= LIST_FOR) {
    // Just before the first: a listing begins after what it is given.
    const page = await bucket.list({ prefix: ASSETS_PREFIX, startAfter: open[0]!.slice(0, -1) });
    for (const { key } of page.objects) present.add(key);
    const last = page.truncated ? (page.objects.at(-1)?.key ?? "") : null;
    const left = last === null ? [] : open.filter((key) => key > last);
    const told = open.length - left.length;
    open = left;
    if (told < LIST_FOR) break;
  }
  await mapConcurrent(open, HEADS_AT_ONCE, async (key) => {
    if (await bucket.head(key)) present.add(key);
  });
  return keys.filter((key) => !present.has(key));
}
