/**
 * Makes the fixture of a release for the compatibility test, and removes those that are too old to be kept:
 *
 *     node test/compat/make-fixture.ts REF
 *
 * REF is the tag or commit of the release. Its files are taken from the repository into a folder of their own, with
 * the dependencies of its own lock file (`npm ci`), so nothing of the present checkout gets into the fixture.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { unstable_readConfig as readConfig } from "wrangler";
import { bundle } from "../../src/launcher/bundle.ts";
import { migrations } from "../../src/launcher/migrations.ts";
import { FIXTURES, fixtureFile, fixtureFiles, KEPT_RELEASES, type ManagerOfRelease, type Release } from "./release.ts";

/** The release 0.1 was no program of one file. This entry makes it one. */
const ENTRY_OF_0_1 = `import { run } from "./src/cli/main.ts";\nawait run(process.argv.slice(2));\n`;

/** The program as the release serves it; of 0.1, which serves none, one that is made in the same way. */
async function programOf(root: string): Promise<Record<string, string>> {
  if (existsSync(path.join(root, "src/launcher/build-page.ts"))) {
    execFileSync(process.execPath, ["src/launcher/build-page.ts"], { cwd: root, stdio: "inherit" });
    return { "tablao.mjs": readFileSync(path.join(root, "public/tablao.mjs"), "utf8") };
  }
  writeFileSync(path.join(root, "entry.ts"), ENTRY_OF_0_1);
  return {
    "tablao.mjs": await bundleForNode(root, "entry.ts"),
    // The agent of 0.1 starts it by this name, in its own folder.
    "tool.ts": `// @ts-nocheck\n${await bundleForNode(root, "src/agent/tool.ts")}`,
  };
}

async function bundleForNode(root: string, entry: string): Promise<string> {
  const built = await build({
    configFile: false,
    root,
    logLevel: "error",
    ssr: { noExternal: true, target: "node" },
    build: {
      ssr: path.join(root, entry),
      write: false,
      minify: true,
      target: "node20",
      rolldownOptions: { output: { format: "es", codeSplitting: false } },
    },
  });
  const output = Array.isArray(built) ? built[0]! : built;
  if (!("output" in output)) throw new Error("vite watches instead of building");
  const [chunk] = output.output;
  return chunk.code;
}

/** The manager's Worker as a deployment has it, without the page. */
async function managerOf(root: string): Promise<ManagerOfRelease> {
  const config = readConfig({ config: path.join(root, "wrangler.toml") });
  const [[d1], [r2]] = [config.d1_databases, config.r2_buckets];
  if (!d1 || !r2 || config.compatibility_date === undefined) throw new Error("wrangler.toml is not a manager's");
  return {
    script: await bundle("src/index.ts", { root, minify: true }),
    compatibilityDate: config.compatibility_date,
    objects: Object.fromEntries(
      config.durable_objects.bindings.map((one: { name: string; class_name: string }) => [one.name, one.class_name]),
    ),
    d1: d1.binding,
    r2: r2.binding,
    migrations: migrations(path.join(root, d1.migrations_dir ?? "migrations")),
  };
}

async function makeFixture(ref: string): Promise<string> {
  const git = (...args: string[]): Buffer => execFileSync("git", args, { maxBuffer: 1_000_000_000 });
  const commit = git("rev-parse", "--verify", `${ref}^{commit}`).toString("utf8").trim();
  const root = mkdtempSync(path.join(tmpdir(), "tablao-release-"));
  try {
    execFileSync("tar", ["-x", "-C", root], { input: git("archive", commit) });
    execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: root, stdio: "inherit" });
    const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
    const release: Release = { version, commit, program: await programOf(root), manager: await managerOf(root) };
    mkdirSync(FIXTURES, { recursive: true });
    const file = fixtureFile(version);
    writeFileSync(file, gzipSync(JSON.stringify(release), { level: 9 }));
    return file;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const ref = process.argv[2];
if (ref === undefined) {
  console.error("usage: node test/compat/make-fixture.ts REF");
  process.exit(2);
}
const file = await makeFixture(ref);
console.log(`${path.relative(process.cwd(), file)}: ${readFileSync(file).length} bytes`);
for (const old of fixtureFiles().slice(0, -KEPT_RELEASES)) {
  rmSync(old);
  console.log(`removed ${path.relative(process.cwd(), old)}`);
}
