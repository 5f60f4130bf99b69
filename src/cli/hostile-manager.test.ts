/** Whatever a manager answers, no escape sequence of it reaches the terminal (L6, P9). */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { z } from "zod";
import { loadRoutes } from "../../scripts/api-table.ts";
import { FakeManager, problem } from "../../test/support/fake-manager.ts";
import { testFolder } from "../../test/support/folders.ts";
import { ManagerError } from "../client/manager-client.ts";
import { explain } from "./connection.ts";
import { program } from "./main.ts";
import { reportAndExit } from "./stop-signals.ts";

/** Sets the window's title, clears the screen (also in the form of one byte), and reverses the text. */
const EVIL = "\u001b]0;owned\u0007\u001b[2J\u009b31mMARK\u202e\u0000";
// eslint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/** The parts of a JSON Schema that the schemas of answers use. */
interface Shape {
  $ref?: string;
  $defs?: Record<string, Shape>;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  pattern?: string;
  format?: string;
  minimum?: number;
  items?: Shape | Shape[];
  prefixItems?: Shape[];
  properties?: Record<string, Shape>;
  additionalProperties?: Shape | boolean;
  anyOf?: Shape[];
  oneOf?: Shape[];
  allOf?: Shape[];
}

/** A value that the schema takes, with `EVIL` in every text that may be any. */
function hostile(schema: z.ZodType): unknown {
  const root = z.toJSONSchema(schema, { io: "output", unrepresentable: "any" }) as Shape;
  const valueOf = (shape: Shape, key: string): unknown => {
    // The last page: a list would have no end.
    if (key === "cursor") return null;
    if (shape.$ref !== undefined) return valueOf(root.$defs![shape.$ref.split("/").at(-1)!]!, key);
    if (shape.const !== undefined) return shape.const;
    if (shape.enum) return shape.enum.includes("failed") ? "failed" : shape.enum[0];
    const branches = shape.anyOf ?? shape.oneOf ?? shape.allOf;
    if (branches) return valueOf(branches[0]!, key);
    if (Array.isArray(shape.type)) return valueOf({ ...shape, type: shape.type[0]! }, key);
    if (shape.type === "string") return textOf(shape);
    if (shape.type === "integer" || shape.type === "number") return Math.max(shape.minimum ?? 1, 1);
    if (shape.type === "boolean") return true;
    if (shape.prefixItems) return shape.prefixItems.map((item) => valueOf(item, ""));
    if (shape.type === "array") return shape.items ? [valueOf(shape.items as Shape, "")] : [EVIL];
    if (shape.type !== "object") return shape.type === "null" ? null : EVIL;
    const entries = Object.entries(shape.properties ?? {}).map(([name, one]) => [name, valueOf(one, name)]);
    if (typeof shape.additionalProperties === "object")
      entries.push([`key ${EVIL}`, valueOf(shape.additionalProperties, "")]);
    return Object.fromEntries(entries) as unknown;
  };
  return valueOf(root, "");
}

function textOf({ pattern = "", format }: Shape): string {
  if (pattern.includes("{64}")) return "0".repeat(64);
  if (pattern.startsWith("^[1-9]")) return "4.5.3";
  if (pattern.includes("{8}")) return "0".repeat(8);
  if (format === "uuid") return "0b6f2f6e-5f0e-4f4e-8a35-0c5a3b1d2e4f";
  return pattern === "" ? EVIL : "a";
}

const routes = await loadRoutes();
/** By method and path: a hostile success. */
const answers = routes.flatMap(({ method, path: template, answers: declared }) => {
  const [found] = Object.entries(declared).filter(([status]) => Number(status) < 300);
  if (!found) return [];
  const schema = (found[1] as { schema?: z.ZodType }).schema;
  const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, "[^/]+")}(\\?|$)`);
  return [{ method, pattern, status: Number(found[0]), json: schema && hostile(schema) }];
});

let manager: FakeManager;
let written: string[];

beforeEach(async () => {
  manager = await FakeManager.start();
  written = [];
  const hear = (text: unknown): boolean => written.push(String(text)) > 0;
  vi.spyOn(process.stdout, "write").mockImplementation(hear);
  vi.spyOn(process.stderr, "write").mockImplementation(hear);
  vi.spyOn(process, "exit").mockImplementation((code) => {
    throw new Error(`exit ${code}`);
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await manager.stop();
});

/** Run a command as `runCommandLine` does; answers with what it wrote. */
async function run(args: readonly string[]): Promise<string> {
  written = [];
  const tablao = program().configureOutput({
    writeOut: (text) => void written.push(text),
    writeErr: (text) => void written.push(text),
  });
  try {
    await tablao.parseAsync(["--manager", manager.url, "--token", "s", ...args], { from: "user" });
  } catch (thrown) {
    if (!(thrown instanceof Error && thrown.message.startsWith("exit ")))
      try {
        reportAndExit("tablao", thrown instanceof ManagerError ? explain(thrown) : thrown);
      } catch {
        // Only the text counts here.
      }
  }
  return written.join("");
}

const SETTINGS = JSON.stringify({ text: "x" });
const COMMANDS: (readonly string[])[] = [
  ["tasks", "--all"],
  ["task", "7"],
  ["workers"],
  ["workers", "remove", "1", "--yes"],
  ["logs", "7"],
  ["logs", "7", "--times"],
  ["why", "7"],
  ["why", "--worker", "1"],
  ["history"],
  ["history", "--days"],
  ["storage"],
  ["blender", "list"],
  ["blender", "remove", "4.5.3"],
  ["settings", "list"],
  ["settings", "get", "lease_s"],
  ["settings", "set", "lease_s", "30"],
  ["token", "list"],
  ["token", "create", "viewer"],
  ["token", "revoke", "1"],
  ["share", "7"],
  ["submit", "--type", "print_string", "--frames", "1", "--settings", SETTINGS],
  ["submit", "--type", "print_string", "--frames", "1", "--settings", SETTINGS, "--wait"],
  ["pause", "7"],
  ["resume", "7"],
  ["cancel", "7"],
  ["requeue", "7"],
  ["skip", "7", "--frames", "1"],
  ["priority", "7", "5"],
  ["drop-dependency", "7", "3"],
  ["retention", "7", "--days", "5"],
  ["delete", "7"],
  ["prune", "--older-than", "1d", "--yes"],
  ["prune", "--inputs", "--yes"],
  ["restore", "--abandon"],
];

/** Commands that show nothing of an answer, or are tried elsewhere. */
const OTHERS = {
  open: "it asks the manager for nothing",
  logout: "it asks the manager for nothing",
  worker: "its lines go through the agent's logger (src/agent/text.test.ts)",
};

test("every command is tried, but for those with a reason", () => {
  const tried = [...COMMANDS.map(([name]) => name!), "download", "login", "backup", ...Object.keys(OTHERS)];
  expect([...new Set(tried)].toSorted()).toEqual(
    program()
      .commands.map((command) => command.name())
      .toSorted(),
  );
});

test("L6, P9: no text of an answer reaches the terminal with an escape sequence, of any command", async () => {
  // A row that the schema takes: one that it does not take is asked for again for minutes.
  const rows = { rows: [[EVIL, { json: EVIL }]], version: 1, cursor: null };
  manager.on("GET", /^\/backup\/rows/, () => ({ status: 200, json: rows }));
  manager.handlers.push(({ method, path: asked }) => {
    const answer = answers.find((each) => each.method === method && each.pattern.test(asked));
    if (!answer || asked === "/auth/access") return undefined;
    // A page of the log has lines only once.
    const json = /\/log\?.*after=/.test(asked) ? { ...(answer.json as object), lines: [] } : answer.json;
    return { status: answer.status, ...(json !== undefined && { json }) };
  });
  let shown = 0;
  vi.stubEnv("XDG_CONFIG_HOME", testFolder("config"));
  for (const args of [...COMMANDS, ["download", "7"], ["backup"], ["login", manager.url]]) {
    for (const flags of [[], ["--json"]]) {
      const into = ["download", "backup"].includes(args[0]!) ? [testFolder("hostile-answer")] : [];
      const text = await run([...flags, ...args, ...into]);
      expect(text, args.join(" ")).not.toMatch(UNSAFE);
      if (text.includes("MARK")) shown++;
    }
  }
  // Otherwise nothing of the answers was shown at all.
  expect(shown).toBeGreaterThan(25);
}, 120_000);

test.each([
  ["a problem", () => problem(422, EVIL, EVIL, [{ field: EVIL, message: EVIL }])],
  ["a problem of a server", () => problem(403, EVIL, EVIL)],
])(
  "L6, P9: nor does the text of %s",
  async (_, answer) => {
    manager
      .on("GET", /^\/(?!auth)/, answer)
      .on("PATCH", /^\//, answer)
      .on("POST", /^\/(?!auth)/, answer);
    manager.on("DELETE", /^\//, answer);
    let shown = 0;
    for (const args of COMMANDS) {
      const text = await run(args);
      expect(text, args.join(" ")).not.toMatch(UNSAFE);
      if (text.includes("MARK")) shown++;
    }
    expect(shown).toBeGreaterThan(COMMANDS.length / 2);
  },
  120_000,
);
