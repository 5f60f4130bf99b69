import { expect, test } from "vitest";
import { isLoopback, joinCommand, joinCommandWindows } from "./join-command.ts";

test("P9: the join line fetches from the manager only, never a registry's package, with no token among its arguments", () => {
  expect(joinCommand("https://farm.example", "tablao_join_x")).toBe(
    "curl -fsS https://farm.example/join.sh | TABLAO_JOIN=tablao_join_x sh",
  );
  expect(joinCommandWindows("https://farm.example", "tablao_join_x")).toBe(
    "$env:TABLAO_JOIN='tablao_join_x'; irm https://farm.example/join.ps1 | iex",
  );
});

test("the join line of a service", () => {
  expect(joinCommand("https://farm.example", "tablao_join_x", { service: true })).toBe(
    "curl -fsS https://farm.example/join.sh | TABLAO_JOIN=tablao_join_x TABLAO_SERVICE=1 sh",
  );
  expect(joinCommandWindows("https://farm.example", "tablao_join_x", { service: true })).toBe(
    "$env:TABLAO_JOIN='tablao_join_x'; $env:TABLAO_SERVICE='1'; irm https://farm.example/join.ps1 | iex",
  );
});

test("addresses that only the manager's own machine reaches", () => {
  const ofThisMachine = ["http://127.0.0.1:8787", "http://localhost:1", "http://farm.localhost", "http://[::1]:1"];
  const ofOthers = ["http://10.0.0.2:8787", "https://farm.example", "https://localhost.example", "https://127.example"];
  expect(ofThisMachine.filter((url) => !isLoopback(url))).toEqual([]);
  expect(ofOthers.filter(isLoopback)).toEqual([]);
});
