/** The end of a hibernatable WebSocket. */

/** Codes that only the runtime may report: closing with one of them throws. */
const RESERVED_CODES = new Set([1005, 1006, 1015]);

/** Answer a peer's close. Without it a hibernatable socket's client sees 1006 instead of its own code. */
export function closeQuietly(socket: WebSocket, code: number, reason: string): void {
  try {
    if (RESERVED_CODES.has(code)) socket.close();
    else socket.close(code, reason);
  } catch {
    // Closed already: nothing to answer.
  }
}
