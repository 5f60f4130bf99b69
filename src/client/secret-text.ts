/** What a token or a worker's secret may look like before it is sent. */

/** Visible ASCII, which a header can hold (RFC 9110, field values) and which needs no quoting in it. */
const VISIBLE = /^[\x21-\x7e]+$/;
/** Servers refuse heads of 8 to 16 KiB; a token of this manager has about 60 characters. */
const MAX_CHARS = 4_096;

/**
 * Why this text cannot be a token, without the text itself: it may be a secret with a typing error.
 * Undefined when it can be one.
 */
export function tokenFault(text: string): string | undefined {
  if (text === "") return "it is empty";
  if (/[\r\n]/.test(text)) return "it has a line break in it";
  if (/\s/.test(text)) return "it has a blank in it";
  if (!VISIBLE.test(text)) return "it has a character in it that no token has";
  return text.length > MAX_CHARS ? `it is longer than ${MAX_CHARS} characters` : undefined;
}
