/**
 * The entry of the bundled program `tablao.mjs`: the command line and the agent, and the demo renderer, which
 * the agent starts as a process of its own.
 */
import { DEMO_RENDERER } from "../client/program-file.ts";

const [first, ...rest] = process.argv.slice(2);
if (first === DEMO_RENDERER) {
  const { runDemoRenderer } = await import("../demo-renderer/program.ts");
  process.exitCode = await runDemoRenderer(rest);
} else {
  // Everybody on a machine can read the arguments of a process, for as long as it runs. The title takes
  // their place.
  if (process.argv.some((argument) => /^--(join|token)(=|$)/.test(argument))) process.title = "tablao";
  const { runCommandLine } = await import("../cli/main.ts");
  await runCommandLine(process.argv.slice(2));
}
