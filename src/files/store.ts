/** Storing one object, whole or not at all. R2 checks the hash while the bytes stream through. */
import { err, ok, type Result } from "../lib/result.ts";
import type { Refusal } from "../protocol/problem.ts";

export interface Upload {
  key: string;
  /** Null for an empty object. A Uint8Array has exactly `size` bytes. */
  body: ReadableStream<Uint8Array> | Uint8Array | null;
  /** The number of bytes that the client announced: more or fewer are refused. */
  size: number;
  /** The hash that the client announced: R2 refuses other bytes. */
  sha256: string;
  /** The field or header with that hash, named in errors. */
  hashField: string;
}

/** R2's code for bytes that do not have the announced hash. */
const BAD_DIGEST = "(10037)";

/**
 * Store an object that is never overwritten. `created` is false when the same bytes were stored
 * before. Refusals: `invalid_request` (another length), `invalid` (another hash), `conflict` (other
 * content is stored at the key), `overloaded` (the storage failed).
 */
export async function storeOnce(bucket: R2Bucket, upload: Upload): Promise<Result<{ created: boolean }, Refusal>> {
  const stored = await put(bucket, upload, { onlyIf: { etagDoesNotMatch: "*" } });
  if (!stored.ok) return stored;
  if (stored.value) return ok({ created: true });
  return await whatIsThere(bucket, upload.key, upload);
}

/** After a write that found an object at its key: whether that object has the announced content. */
async function whatIsThere(
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

/**
 * Store an object, replacing any other at its key. Refusals as of `storeOnce`, except `conflict`.
 */
export async function storeOver(bucket: R2Bucket, upload: Upload): Promise<Result<null, Refusal>> {
  const stored = await put(bucket, upload, {});
  return stored.ok ? ok(null) : stored;
}

/** Why a file is refused where another one is. */
export const OTHER_CONTENT = "Another content is already stored under this name and attempt; it stays.";

/** Whether a stored file has the announced content; else `conflict`. */
export function sameContent(
  present: R2Object,
  announced: { size: number; sha256: string },
): Result<{ created: false }, Refusal> {
  if (sizeOf(present) === announced.size && hashOf(present) === announced.sha256) return ok({ created: false });
  return err({ code: "conflict", detail: OTHER_CONTENT });
}

/**
 * The SHA-256 of a stored file. It is in our own metadata, because R2 has no hash of a file in
 * parts. Of a file that is known by the list of its parts, it is what the worker said.
 */
export function hashOf(object: R2Object): string {
  return object.customMetadata?.["sha256"] ?? "";
}

/**
 * The size of a stored file in bytes. The object of a large file is its manifest, which states the
 * size.
 */
export function sizeOf(object: R2Object): number {
  return Number(object.customMetadata?.["size"] ?? object.size);
}

/** R2 deletes at most this many objects a call. */
export const DELETED_AT_ONCE = 1_000;

/** Delete these objects. */
export async function deleteKeys(bucket: R2Bucket, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += DELETED_AT_ONCE)
    await bucket.delete(keys.slice(from, from + DELETED_AT_ONCE));
}

/** Put an object. True when it was stored, false when the condition did not hold. */
async function put(bucket: R2Bucket, upload: Upload, condition: R2PutOptions): Promise<Result<boolean, Refusal>> {
  const options = { ...condition, sha256: upload.sha256, customMetadata: { sha256: upload.sha256 } };
  // The type of `put` depends on the options; it answers null only when a condition did not hold.
  const store = async (body: ReadableStream | Uint8Array): Promise<boolean> =>
    ((await bucket.put(upload.key, body, options)) as R2Object | null) !== null;
  if (upload.body instanceof Uint8Array) {
    try {
      return ok(await store(upload.body));
    } catch (error) {
      return err(whyRefused(error, undefined, upload));
    }
  }
  // R2 takes only streams of known length. This one also fails when the body is shorter or longer
  // than that.
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
    // If the put failed, or its condition did not hold, the body may be unread: stop the pipe.
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

/** R2 failed: the client may try again, and the log has the reason. */
export function storageRefusal(verb: string, error: unknown): Refusal {
  console.warn(`R2 ${verb} failed: ${error instanceof Error ? error.message : String(error)}`);
  return { code: "overloaded", detail: "The file storage did not answer as it should; try again shortly." };
}
