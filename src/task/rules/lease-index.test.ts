import fc from "fast-check";
import { expect, test } from "vitest";
import { Leases, type LiveLease } from "./lease-index.ts";

type Step =
  | { do: "add"; worker: number; ms: number }
  | { do: "renew" | "commit" | "end"; which: number; ms: number }
  | { do: "expire"; ms: number }
  | { do: "write" };

const ms = fc.integer({ min: 0, max: 50 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("add" as const), worker: fc.integer({ min: 1, max: 3 }), ms }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("renew" as const, "commit" as const, "end" as const),
      which: fc.nat(6),
      ms,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("expire" as const), ms }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("write" as const) }) },
);

function leaseOf(n: number, worker: number, untilMs: number): LiveLease {
  const frames: LiveLease["frames"] = [[n, n + 3]];
  return {
    lease_id: `lease-${n}`,
    attempt: n,
    worker,
    key: `key-${n}`,
    frames,
    open: frames,
    claimed_ms: 0,
    until_ms: untilMs,
    stored_ms: 0,
  };
}

const texts = (leases: Iterable<LiveLease>): string[] =>
  [...leases].map((lease) => JSON.stringify({ ...lease, stored_ms: 0 }));

test("P5: leases are found, expire and end as in a plain list, and their changes bring the rows' copy up to date", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const leases = new Leases();
      let list: LiveLease[] = [];
      const rows = new Leases();
      let nowMs = 0;
      for (const [n, s] of steps.entries()) {
        const chosen = "which" in s ? list[s.which % Math.max(1, list.length)] : undefined;
        if (s.do === "add") {
          const lease = leaseOf(n, s.worker, nowMs + 1 + s.ms);
          list = [...list, lease];
          leases.add(lease);
        } else if (s.do === "expire") {
          nowMs += s.ms;
          const over = leases.overdue(nowMs);
          expect(over).toEqual(list.filter((lease) => lease.until_ms <= nowMs));
          for (const lease of over) leases.end(lease);
          list = list.filter((lease) => lease.until_ms > nowMs);
          expect(leases.overdue(nowMs)).toEqual([]);
        } else if (s.do === "write") {
          const changes = leases.drainChanges();
          for (const lease of changes.leases) expect(lease.stored_ms).toBe(lease.until_ms);
          rows.apply(JSON.parse(JSON.stringify(changes)) as typeof changes);
          expect(JSON.stringify([...rows])).toBe(JSON.stringify(list));
          expect(leases.drainChanges()).toEqual({ leases: [], ended: [] });
        } else if (chosen && s.do === "end") {
          leases.end(chosen);
          list = list.filter((lease) => lease !== chosen);
        } else if (chosen && s.do === "renew") leases.change(chosen, { until_ms: nowMs + 1 + s.ms });
        else if (chosen) leases.change(chosen, { open: [] });
        expect([...leases]).toEqual(list);
        expect(leases.size).toBe(list.length);
        expect(leases.notBeforeMs).toBeLessThanOrEqual(Math.min(...list.map((lease) => lease.until_ms)));
        if (list.length === 0) expect(leases.notBeforeMs).toBe(Infinity);
        for (const lease of list) {
          expect(leases.get(lease.lease_id)).toBe(lease);
          expect(leases.claimedWith(lease.worker, lease.key)).toBe(lease);
        }
        if (chosen && s.do === "end") {
          expect(leases.get(chosen.lease_id)).toBeUndefined();
          expect(leases.claimedWith(chosen.worker, chosen.key)).toBeUndefined();
        }
        expect(texts(new Leases(JSON.parse(JSON.stringify(leases)) as LiveLease[]))).toEqual(texts(list));
      }
    }),
    { numRuns: 1_000 },
  );
});

test("a key belongs to its worker: the same key of another worker is another claim", () => {
  const leases = new Leases();
  leases.add({ ...leaseOf(1, 1, 10), key: "same-key" });
  expect(leases.claimedWith(2, "same-key")).toBeUndefined();
  leases.add({ ...leaseOf(2, 2, 10), key: "same-key" });
  expect(leases.claimedWith(1, "same-key")?.attempt).toBe(1);
  expect(leases.claimedWith(2, "same-key")?.attempt).toBe(2);
});

test("after renewals and ends no lease is missed: the earliest expiry may only be too early", () => {
  const leases = new Leases();
  const [first, second] = [leaseOf(1, 1, 10), leaseOf(2, 2, 30)];
  leases.add(first);
  leases.add(second);
  leases.change(first, { until_ms: 40 });
  expect(leases.overdue(20)).toEqual([]);
  expect(leases.notBeforeMs).toBe(30);
  leases.end(second);
  expect(leases.overdue(30)).toEqual([]);
  expect(leases.overdue(40)).toEqual([first]);
});
