import { Command } from "commander";
import path from "node:path";
import { expect, test } from "vitest";
import { program } from "../main.ts";
import { agentArguments } from "../commands/worker-service.ts";

/** The arguments of the agent that this command line would make a service of. */
async function argumentsOf(...line: string[]): Promise<string[]> {
  const root: Command = program();
  const worker = root.commands.find((command) => command.name() === "worker")!;
  let found: string[] | undefined;
  worker.commands
    .find((command) => command.name() === "install")!
    .action(() => void (found = agentArguments(worker, "https://farm.example")));
  await root.parseAsync(line, { from: "user" });
  return found!;
}

const MANAGER = ["--manager", "https://farm.example"];

test("the options of the worker go into the service, wherever they stand; paths are absolute", async () => {
  expect(await argumentsOf("worker", "install")).toEqual(MANAGER);
  const given = ["--tags", "gpu,big", "--blender", "b/blender", "--blender=/c/blender", "--slots", "2", "--env", "A"];
  const kept = [
    ...MANAGER,
    "--slots",
    "2",
    "--tags",
    "gpu,big",
    "--blender",
    path.resolve("b/blender"),
    "--blender",
    "/c/blender",
    "--env",
    "A",
    "--no-update",
  ];
  expect(await argumentsOf("worker", "install", "--system", ...given, "--no-update")).toEqual(kept);
  expect(await argumentsOf("worker", ...given, "install", "--no-update")).toEqual(kept);
});

test("P9: no token goes into the service", async () => {
  expect(await argumentsOf("--token", "secret", "worker", "install", "--join", "tablao_join_x", "--json")).toEqual(
    MANAGER,
  );
});
