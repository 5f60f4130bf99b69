/** Closing a hibernatable WebSocket. */

/** Codes that only the runtime may report. `close` throws when it is given one of them. */
const RESERVED_CODES = new Set([1005, 1006, 1015]);

/**
 * Answer a peer's close. Without the answer, the peer of a hibernatable socket sees code 1006
 * instead of its own.
 */
export function closeQuietly(socket: WebSocket, code: number, reason: string): void {
  try {
    if (RESERVED_CODES.has(code)) socket.close();
    else socket.close(code, reason);
  } catch {
    // It is closed already.
  }
}
