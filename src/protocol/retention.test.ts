/** P14: when a rule deletes a task, as properties of the rule. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TASK_STATUSES, isEnded } from "./constants.ts";
import {
  daysOfText,
  endOf,
  expiryOf,
  FOREVER,
  isRetentionDays,
  isStricter,
  KEEP_ALL,
  NOTICE_MS,
  whyKept,
  withExpiry,
  type FarmRetention,
  type Retained,
} from "./retention.ts";

const DAY = 86_400_000;
const days = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(FOREVER));
const own = fc.option(days, { nil: null });
const instant = fc.integer({ min: 0, max: 100 * DAY });
const maybe = fc.option(instant, { nil: null });

const farms: fc.Arbitrary<FarmRetention> = fc.record({
  retention_days: days,
  retention_after_download_days: days,
  from_ms: maybe,
});
const tasks: fc.Arbitrary<Required<Retained>> = fc.record({
  status: fc.constantFrom(...TASK_STATUSES),
  updated_ms: instant,
  ended_ms: maybe,
  downloaded_ms: maybe,
  retention_days: own,
  retention_after_download_days: own,
  retention_set_ms: maybe,
});
const ended = tasks.map((task): Required<Retained> => ({ ...task, status: "completed" }));

const atOf = (task: Retained, farm: FarmRetention): number => expiryOf(task, farm)?.at_ms ?? Infinity;

describe("P14: a task expires", () => {
  it("never while it has not ended, and never on a farm without a rule unless it has one itself", () => {
    fc.assert(
      fc.property(tasks, farms, (task, farm) => {
        if (!isEnded(task.status)) expect(expiryOf(task, farm)).toBeNull();
        const plain = { ...task, retention_days: null, retention_after_download_days: null };
        expect(expiryOf(plain, KEEP_ALL)).toBeNull();
      }),
    );
  });

  it("never before the days of its rule have passed since the end or the download", () => {
    fc.assert(
      fc.property(ended, farms, (task, farm) => {
        const expiry = expiryOf(task, farm);
        if (!expiry) return;
        const end = task.ended_ms ?? task.updated_ms;
        const name = expiry.after === "end" ? "retention_days" : "retention_after_download_days";
        expect(expiry.days).toBe(expiry.by === "task" ? task[name] : farm[name]);
        const from = expiry.after === "end" ? end : Math.max(end, task.downloaded_ms!);
        expect(expiry.at_ms).toBeGreaterThanOrEqual(from + expiry.days * DAY);
      }),
    );
  });

  it("never within a day after the rule that deletes it was set or shortened", () => {
    fc.assert(
      fc.property(ended, farms, (task, farm) => {
        const expiry = expiryOf(task, farm);
        if (!expiry) return;
        if (task.retention_set_ms !== null)
          expect(expiry.at_ms).toBeGreaterThanOrEqual(task.retention_set_ms + NOTICE_MS);
        if (expiry.by === "farm" && farm.from_ms !== null)
          expect(expiry.at_ms).toBeGreaterThanOrEqual(farm.from_ms + NOTICE_MS);
      }),
    );
  });

  it("after a download only when its files as they are now were downloaded", () => {
    fc.assert(
      fc.property(ended, farms, (task, farm) => {
        expect(expiryOf({ ...task, downloaded_ms: null }, farm)?.after).not.toBe("download");
      }),
    );
  });

  it("never by the farm's rule when it has a value of its own: its word counts", () => {
    fc.assert(
      fc.property(ended, farms, (task, farm) => {
        const expiry = expiryOf(task, farm);
        if (task.retention_days === FOREVER) expect(expiry?.by).not.toBe("farm");
        if (expiry?.by === "farm")
          expect(task[expiry.after === "end" ? "retention_days" : "retention_after_download_days"]).toBeNull();
        // With both values its own, the farm's rule changes nothing.
        if (task.retention_days !== null && task.retention_after_download_days !== null)
          expect(expiry).toEqual(expiryOf(task, KEEP_ALL));
      }),
    );
  });

  it("at the same time or earlier when the farm's rule becomes stricter, at the same or later when laxer", () => {
    fc.assert(
      fc.property(ended, farms, farms, (task, one, two) => {
        const [before, after] = [one, two].map((farm) => ({ ...farm, from_ms: null }));
        if (!isStricter(before!, after!)) expect(atOf(task, after!)).toBeGreaterThanOrEqual(atOf(task, before!));
      }),
    );
  });

  it.each([
    ["30 days after the end", { retention_days: 30 }, {}, { at_ms: 30 * DAY, by: "farm", days: 30, after: "end" }],
    [
      "a day after the download, which is earlier",
      { retention_days: 30, retention_after_download_days: 1 },
      { downloaded_ms: 5 * DAY },
      { at_ms: 6 * DAY, by: "farm", days: 1, after: "download" },
    ],
    [
      "by its own word",
      { retention_days: 30 },
      { retention_days: 2 },
      { at_ms: 2 * DAY, by: "task", days: 2, after: "end" },
    ],
    [
      "never: kept, whatever the farm says",
      { retention_days: 30, retention_after_download_days: 1 },
      {
        retention_days: FOREVER,
        downloaded_ms: 5 * DAY,
      },
      null,
    ],
    [
      "by its own word after the download, although it is kept otherwise",
      { retention_days: 30 },
      { retention_days: FOREVER, retention_after_download_days: 3, downloaded_ms: 5 * DAY },
      { at_ms: 8 * DAY, by: "task", days: 3, after: "download" },
    ],
    [
      "the day after the rule was set, when it is older than the rule",
      { retention_days: 1, from_ms: 50 * DAY },
      {},
      { at_ms: 51 * DAY, by: "farm", days: 1, after: "end" },
    ],
    [
      "by its last change, when an earlier release did not store its end",
      { retention_days: 10 },
      { ended_ms: undefined, updated_ms: 7 * DAY },
      { at_ms: 17 * DAY, by: "farm", days: 10, after: "end" },
    ],
  ] as const)("%s", (_, farm, task, expected) => {
    const all = { status: "failed", updated_ms: 9 * DAY, ended_ms: 0, ...task } as const;
    expect(expiryOf(all, { ...KEEP_ALL, ...farm })).toEqual(expected);
    const shown = withExpiry(all, { ...KEEP_ALL, ...farm });
    expect([shown.expires_ms, shown.expires_by]).toEqual([expected?.at_ms ?? null, expected?.by ?? null]);
  });
});

describe("P14: a task stays", () => {
  const leases = fc.integer({ min: 0, max: 2 });
  const terms = fc.record({
    farm: fc.option(farms, { nil: null }),
    ended_before_ms: maybe,
    ended_for_ms: maybe,
    downloaded: fc.boolean(),
  });

  it("unless it has ended, nothing uses it, and all terms hold", () => {
    fc.assert(
      fc.property(
        tasks,
        leases,
        terms,
        fc.array(fc.integer({ min: 1 }), { maxLength: 2 }),
        instant,
        (task, live, on, users, now) => {
          const why = whyKept({ ...task, leases: live }, on, users, now);
          const end = endOf(task);
          const goes =
            end !== null &&
            live === 0 &&
            users.length === 0 &&
            (on.farm === null || atOf(task, on.farm) <= now) &&
            (on.ended_before_ms === null || end < on.ended_before_ms) &&
            (on.ended_for_ms === null || now - end >= on.ended_for_ms) &&
            (!on.downloaded || task.downloaded_ms !== null);
          expect(why === null).toBe(goes);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

it.each([
  ["", null],
  [" 30 ", 30],
  ["Forever", FOREVER],
  ["0", undefined],
  ["1.5", undefined],
  ["36501", undefined],
  ["-1", undefined],
  ["never", undefined],
])("P10: the text %j is %j", (typed, value) => expect(daysOfText(typed)).toBe(value));
it.each([1, 36_500, FOREVER])("P10: %j is a number of days", (value) => expect(isRetentionDays(value)).toBe(true));
it.each([0, 36_501, 1.5, "1", "never", null, true, -1])("P10: %j is none", (value) =>
  expect(isRetentionDays(value)).toBe(false),
);
