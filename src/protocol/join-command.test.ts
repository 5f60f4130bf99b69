import { expect, test } from "vitest";
import { isLoopback, joinCommand } from "./join-command.ts";

test("P9: the join command runs a file of the checkout, never a package of a registry, with no token among its arguments", () => {
  const [assignment, program, ...args] = joinCommand("https://farm.example", "tablao_join_x").split(" ");
  expect(assignment).toBe("TABLAO_JOIN=tablao_join_x");
  expect([program, ...args]).toEqual(["node", "src/cli/tablao.js", "worker", "--manager", "https://farm.example"]);
});

test("addresses that only the manager's own machine reaches", () => {
  const ofThisMachine = ["http://127.0.0.1:8787", "http://localhost:1", "http://farm.localhost", "http://[::1]:1"];
  const ofOthers = ["http://10.0.0.2:8787", "https://farm.example", "https://localhost.example", "https://127.example"];
  expect(ofThisMachine.filter((url) => !isLoopback(url))).toEqual([]);
  expect(ofOthers.filter(isLoopback)).toEqual([]);
});
