import { expect, test } from "vitest";
import { historyFailureOf } from "./farm-rules.ts";

test("P13: the failures of several tasks become one: since the first of them, with all that is lost", () => {
  expect(historyFailureOf([{}, {}])).toBeNull();
  expect(
    historyFailureOf([
      { history_failure: { since_ms: null, reason: null, dropped: 500 } },
      {},
      { history_failure: { since_ms: 9, reason: "later", dropped: 0 } },
      { history_failure: { since_ms: 5, reason: "first", dropped: 1_000 } },
    ]),
  ).toEqual({ since_ms: 5, reason: "first", dropped: 1_500 });
  expect(historyFailureOf([{ history_failure: { since_ms: null, reason: null, dropped: 2 } }])).toEqual({
    since_ms: null,
    reason: null,
    dropped: 2,
  });
});
