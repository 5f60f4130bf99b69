import { expect, test } from "vitest";
import { ForeignAnswer, ManagerError } from "../client/manager-answer.ts";
import { OutageLog } from "./outage-log.ts";

const html = (status: number): ForeignAnswer =>
  new ForeignAnswer(
    { status, header: (name) => (name === "content-type" ? "text/html" : null) },
    "<html>",
    "https://farm",
  );
const unreachable = new ManagerError(0, "unreachable", "https://farm cannot be reached: ECONNREFUSED");

function outages(): { log: OutageLog; said: string[]; advance: (ms: number) => void } {
  let now = 0;
  const said: string[] = [];
  return {
    log: new OutageLog(
      (text) => said.push(text),
      () => now,
    ),
    said,
    advance: (ms) => (now += ms),
  };
}

test("an outage is told once when it begins and once when it is over, however many calls and tries it has", () => {
  const { log, said, advance } = outages();
  const calls = [{}, {}, {}];
  for (let tries = 0; tries < 100; tries++) for (const call of calls) log.failed(call, html(403));
  advance(61_000);
  for (const call of calls) log.ended(call, true);
  log.ended({}, true);
  expect(said).toEqual([
    "something between this machine and https://farm answered 403 with HTML (a firewall or bot rule?); trying again",
    "the manager answers again, after 61 s",
  ]);
});

test("a failure of another kind is told, each kind once", () => {
  const { log, said } = outages();
  const call = {};
  for (const error of [html(502), unreachable, html(403), html(502), unreachable]) log.failed(call, error);
  log.ended(call, true);
  expect(said.map((line) => /50\d|403|ECONNREFUSED|again, after/.exec(line)?.[0])).toEqual([
    "502",
    "ECONNREFUSED",
    "403",
    "again, after",
  ]);
});

test("it is not over while one call is still being tried, whatever other calls get", () => {
  const { log, said } = outages();
  const upload = {};
  log.failed(upload, html(403));
  for (let renewals = 0; renewals < 10; renewals++) log.ended({}, true);
  expect(said).toHaveLength(1);
  log.ended(upload, true);
  expect(said).toHaveLength(2);
});

test("a call that was given up does not end it; the next answer does", () => {
  const { log, said } = outages();
  const call = {};
  log.failed(call, unreachable);
  log.ended(call, false);
  expect(said).toHaveLength(1);
  log.ended({}, true);
  expect(said.at(-1)).toContain("answers again");
});

test("without an outage nothing is said", () => {
  const { log, said } = outages();
  log.ended({}, true);
  log.ended({}, false);
  expect(said).toEqual([]);
});
