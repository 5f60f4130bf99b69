/** CRC-32 as zip and gzip have it (ISO 3309; polynomial 0xEDB88320, reflected). Runs anywhere. */

/** The CRC-32 of each byte. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  return crc;
});

/** The CRC-32 of bytes that follow other bytes, whose CRC-32 is `before` (0 for none). */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

/** A CRC-32 as it is on the wire and stored: eight lower-case hexadecimal digits. */
export function crc32Text(crc: number): string {
  return crc.toString(16).padStart(8, "0");
}
