import { beforeEach, expect, test } from "vitest";
import { ManagerError } from "../client/manager-client.ts";
import { ConnectionState } from "./connection-state.ts";

let nowMs: number;
let state: ConnectionState;
const call = {};
const unreachable = new ManagerError(0, "unreachable", "cannot be reached");
const at = (ms: number): void => void (nowMs = ms);
const says = (connection: string, since: number) =>
  expect(state.status).toEqual({ connection, connection_since_ms: since });

beforeEach(() => {
  nowMs = 1_000;
  state = new ConnectionState({ failed: () => undefined, ended: () => undefined }, () => nowMs);
});

test("before the first answer it is starting, also while tries fail", () => {
  state.failed(call, unreachable);
  says("starting", 1_000);
});

test("an open socket is a connection, unless calls fail all the same", () => {
  state.ended(call, true);
  at(2_000);
  state.socket(true);
  says("connected", 2_000);
  at(3_000);
  state.failed(call, unreachable);
  at(4_000);
  state.failed(call, unreachable);
  says("none", 3_000);
  at(5_000);
  state.ended(call, true);
  says("connected", 2_000);
});

test("without the socket it is connected when a call was answered since, and for as long as calls are", () => {
  state.socket(true);
  at(10_000);
  state.socket(false);
  says("none", 10_000);
  at(12_000);
  state.ended(call, true);
  says("http", 10_000);
  at(60_000);
  says("none", 12_000);
  state.ended(call, true);
  says("http", 10_000);
});

test("a call that is given up, or stopped, is no answer", () => {
  state.ended({}, true);
  state.socket(true);
  at(3_000);
  state.failed(call, unreachable);
  state.ended(call, false);
  says("none", 3_000);
});
