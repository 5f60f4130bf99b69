/**
 * Failures of R2 and D1 in a request. Both fail now and then for reasons that pass: a lost connection,
 * a restart, an internal error
 * (https://developers.cloudflare.com/r2/api/error-codes/,
 * https://developers.cloudflare.com/d1/observability/debug-d1/). Their errors have no mark by which
 * they could be told from a bug of ours, so the bindings of a request mark them
 * (`storage-env.ts`): `failureOf` then answers 503 with Retry-After in place of 500. Pure.
 */
import { messageOf } from "../lib/errors.ts";
import type { Refusal } from "../protocol/problem.ts";

export type StorageService = "R2" | "D1";

const WHAT: Record<StorageService, string> = { R2: "file storage", D1: "database" };

/** R2 or D1 failed for a reason that may pass. The message is that of the service. */
class StorageFailure extends Error {
  readonly service: StorageService;

  constructor(service: StorageService, method: string, cause: unknown) {
    super(messageOf(cause), { cause });
    this.name = `${service} ${method}`;
    this.service = service;
  }
}

/** The refusal of a call that needed R2 or D1, which failed; null for any other error. */
export function storageFailureRefusal(error: unknown): Refusal | null {
  if (!(error instanceof StorageFailure)) return null;
  const detail = `The ${WHAT[error.service]} did not answer as it should; try again shortly.`;
  return { code: "overloaded", detail };
}

/**
 * A statement that is wrong, or breaks a rule of a table: D1 adds the code of SQLite. The codes left
 * out are failures of the machine.
 */
const WRONG_STATEMENT = /: SQLITE_(?!FULL|BUSY|LOCKED|IOERR|NOMEM|INTERRUPT|CANTOPEN|PROTOCOL)/;
/** Of R2 and D1 alike, as users report it. */
const TOO_MANY_CALLS = /Too many API requests/i;

/**
 * Whether the request, or the run of a trigger, has made as many calls as the platform allows it
 * (https://developers.cloudflare.com/workers/platform/limits/#subrequests,
 * https://developers.cloudflare.com/d1/platform/limits/). It would again.
 */
export function isOutOfCalls(error: unknown): boolean {
  return TOO_MANY_CALLS.test(messageOf(error));
}

/** Whether the error is a bug of ours, so that the same call would fail again. */
function isBug(error: unknown): boolean {
  return error instanceof TypeError || WRONG_STATEMENT.test(messageOf(error)) || isOutOfCalls(error);
}

/** What the caller of a service is to see of its error: a `StorageFailure`, unless it is a bug of ours. */
export function storageFailure(service: StorageService, method: string, error: unknown): unknown {
  return isBug(error) ? error : new StorageFailure(service, method, error);
}
