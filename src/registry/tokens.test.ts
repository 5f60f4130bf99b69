import { describe, expect, it } from "vitest";
import type { Token } from "../protocol/token.ts";
import { expiryOf, principalOf, shouldNoteUse, whyDead } from "./tokens.ts";

const NOW = 1_000_000;
const token = (change: Partial<Token> = {}): Token => ({
  id: 3,
  role: "join",
  name: "tonight",
  tags: ["gpu"],
  created_ms: 0,
  expires_ms: null,
  uses_left: null,
  last_used_ms: null,
  revoked: false,
  ...change,
});

describe("tokens", () => {
  it("last for ever unless they have an end; join tokens last a day", () => {
    expect(expiryOf({ role: "artist" }, NOW)).toBeNull();
    expect(expiryOf({ role: "join" }, NOW)).toBe(NOW + 86_400_000);
    expect(expiryOf({ role: "join", expires_s: 60 }, NOW)).toBe(NOW + 60_000);
  });

  it("P9: are invalid when revoked, expired or used up", () => {
    expect(whyDead(token({ expires_ms: NOW + 1, uses_left: 1 }), NOW)).toBeNull();
    expect(whyDead(token({ revoked: true }), NOW)).toContain("revoked");
    expect(whyDead(token({ expires_ms: NOW }), NOW)).toContain("expired");
    expect(whyDead(token({ uses_left: 0 }), NOW)).toContain("used up");
  });

  it("give their tags to the workers that join with them, and to no others", () => {
    expect(principalOf(token())).toEqual({ role: "join", id: 3, name: "tonight", tags: ["gpu"] });
    expect(principalOf(token({ role: "artist" }))).toEqual({ role: "artist", id: 3, name: "tonight" });
  });

  it("note their last use once a minute", () => {
    expect(shouldNoteUse(null, NOW)).toBe(true);
    expect(shouldNoteUse(NOW - 59_999, NOW)).toBe(false);
    expect(shouldNoteUse(NOW - 60_000, NOW)).toBe(true);
  });
});
