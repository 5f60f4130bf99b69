/**
 * Builds the program that managers serve: the command line and the agent in one file, `tablao.mjs`, for
 * Node 20 and later, the same with gzip, and `tablao.json`, which tells its version, size and SHA-256. It is built with the page
 * (`build-page.ts`), whose folder it is served from.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { CHECKOUT } from "../cli/manager-record.ts";
import { PROGRAM_GZIP_NAME, PROGRAM_NAME, PROGRAM_RECORD_NAME, type ProgramRecord } from "../protocol/program.ts";
import { VERSION } from "../protocol/version.ts";

/**
 * The first lines of the file. An older Node would stop at the first thing that it does not know, with an error
 * that nobody understands.
 */
const BANNER = `#!/usr/bin/env node
// Tablao ${VERSION}. MIT licence. The licences of what is inside are in tablao-licenses.md beside it.
if (Number(process.versions.node.split(".")[0]) < 20) {
  console.error("tablao: Node " + process.versions.node + " is too old: install Node 20 or newer");
  process.exit(1);
}`;

/** Build into this folder. Throws the bundler's errors. */
export async function buildProgram(folder: string): Promise<void> {
  await build({
    configFile: false,
    root: CHECKOUT,
    logLevel: "warn",
    publicDir: false,
    define: { TABLAO_BUNDLE: "true" },
    ssr: { noExternal: true, target: "node" },
    build: {
      ssr: path.join(CHECKOUT, "src/launcher/program-entry.ts"),
      outDir: folder,
      emptyOutDir: false,
      minify: true,
      target: "node20",
      license: { fileName: "tablao-licenses.md" },
      reportCompressedSize: false,
      rolldownOptions: {
        output: { format: "es", codeSplitting: false, entryFileNames: PROGRAM_NAME, postBanner: BANNER },
      },
    },
  });
  const bytes = readFileSync(path.join(folder, PROGRAM_NAME));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const record: ProgramRecord = { version: VERSION, sha256, bytes: bytes.length };
  writeFileSync(path.join(folder, PROGRAM_GZIP_NAME), gzipSync(bytes, { level: 9 }));
  writeFileSync(path.join(folder, PROGRAM_RECORD_NAME), `${JSON.stringify(record)}\n`);
}
