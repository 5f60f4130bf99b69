import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { COMMAND, ownCommand } from "./own-command.ts";

const CHECKOUT = path.resolve(import.meta.dirname, "../..");

test("advice names a file that is there, from wherever the command was run", () => {
  expect(COMMAND).toBe("node src/cli/tablao.js");
  const script = path.join("/opt", "tablao", "src", "cli", "tablao.js");
  expect(ownCommand(script, "/opt/tablao/src")).toBe(`node ${path.join("cli", "tablao.js")}`);
  expect(ownCommand(script, "/home/ada")).toBe(`node ${script}`);
  expect(ownCommand(script, undefined)).toBe(`node ${script}`);
  expect(ownCommand("/opt/my tools/tablao.js", "/")).toBe('node "opt/my tools/tablao.js"');
});

/** The two definitions: the command line's own, and the one for texts that are made elsewhere. */
const DEFINE_IT = ["src/cli/own-command.ts", "src/protocol/join-command.ts"];

test("the command is written once: no message of the command line or an agent has a copy that ignores the folder", () => {
  const copies = readdirSync(path.join(CHECKOUT, "src"), { recursive: true, encoding: "utf8" })
    .map((file) => path.posix.join("src", file.replaceAll(path.sep, "/")))
    .filter((file) => /\.tsx?$/.test(file) && !/\.test\.tsx?$/.test(file) && !DEFINE_IT.includes(file))
    .filter((file) => readFileSync(path.join(CHECKOUT, file), "utf8").includes("src/cli/tablao.js"));
  expect(copies).toEqual([]);
});

/** Texts that warn of it, or say where it is safe. */
const MAY_NAME_IT = new Set([
  "src/cli/own-command.ts",
  "src/protocol/join-command.ts",
  "README.md",
  "docs/user-guide.md",
  "docs/security.md",
]);

test("P9: nothing that we show people fetches a package with our unpublished name", () => {
  const files = ["src", "docs", "examples", "README.md", "SECURITY.md", "CONTRIBUTING.md"].flatMap((name) =>
    name.includes(".")
      ? [name]
      : readdirSync(path.join(CHECKOUT, name), { recursive: true, encoding: "utf8" })
          .map((file) => path.posix.join(name, file.replaceAll(path.sep, "/")))
          .filter((file) => /\.(ts|tsx|js|mjs|md|sh|yml)$/.test(file) && !/\.test\.ts$|^docs\/decisions\//.test(file)),
  );
  expect(files.length).toBeGreaterThan(300);
  const naming = files.filter(
    (file) => !MAY_NAME_IT.has(file) && /npx tablao/.test(readFileSync(path.join(CHECKOUT, file), "utf8")),
  );
  expect(naming).toEqual([]);
});
