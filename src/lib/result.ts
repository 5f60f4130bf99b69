/**
 * Expected refusals are values, bugs are throws. A throw that crosses a Durable Object stub is
 * logged as an exception and may reset the object, so no rule is enforced by throwing.
 */
export type Result<T, E> = { ok: true; value: T } | { ok: false; error: E };

/** Wrap a success. */
export function ok<T>(value: T): { ok: true; value: T } {
  return { ok: true, value };
}

/** Wrap a refusal. */
export function err<E>(error: E): { ok: false; error: E } {
  return { ok: false, error };
}
