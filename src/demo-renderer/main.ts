/** The helper program of a checkout; the bundled program has it inside (`launcher/program-entry.ts`). */
import { runDemoRenderer } from "./program.ts";

process.exitCode = await runDemoRenderer(process.argv.slice(2));
