import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fromBase64Url, toBase64Url, toHex } from "./bytes.ts";

const anyBytes = fc.uint8Array({ maxLength: 100 });

afterEach(() => {
  vi.restoreAllMocks();
});

describe("hexadecimal", () => {
  it("equals the result of Node's own conversion", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(toHex(bytes)).toBe(Buffer.from(bytes).toString("hex"));
      }),
    );
  });
});

describe("base64url", () => {
  it("equals the result of Node's own conversion, and is read back", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const text = toBase64Url(bytes);
        expect(text).toBe(Buffer.from(bytes).toString("base64url"));
        expect(fromBase64Url(text)).toEqual(bytes);
      }),
    );
  });

  it("refuses every other text: padding, blanks, the plain alphabet, an impossible length", () => {
    for (const text of ["YQ==", "Y Q", " YQ", "a+b/", "é", "A"]) expect(fromBase64Url(text), text).toBeNull();
  });
});

it("uses the runtime's own conversions where they exist", () => {
  const bytes = Object.assign(Uint8Array.of(1, 255), {
    toHex: () => "hex",
    toBase64: (options: object) => JSON.stringify(options),
  });
  expect(toHex(bytes)).toBe("hex");
  expect(toBase64Url(bytes)).toBe('{"alphabet":"base64url","omitPadding":true}');
});
