/** The `tablao` command: its commands, and the place where errors become text and exit codes. */
import { Command, CommanderError } from "commander";
import { ManagerError } from "../client/manager-client.ts";
import { VERSION } from "../protocol/version.ts";
import { addBackup } from "./commands/backup.ts";
import { addBlender } from "./commands/blender.ts";
import { addControl } from "./commands/control.ts";
import { addExplain } from "./commands/explain.ts";
import { addHistory } from "./commands/history.ts";
import { addList } from "./commands/list.ts";
import { addPrune } from "./commands/prune.ts";
import { addRestore } from "./commands/restore.ts";
import { addResults } from "./commands/results.ts";
import { addSettings } from "./commands/settings.ts";
import { addSignIn } from "./commands/sign-in.ts";
import { addStorage } from "./commands/storage.ts";
import { addSubmit } from "./commands/submit.ts";
import { addTokens } from "./commands/tokens.ts";
import { addWorker } from "./commands/worker.ts";
import { addWorkers } from "./commands/workers.ts";
import { explain } from "./connection.ts";
import { PROGRAM_FILE } from "../client/program-file.ts";
import { contextOf } from "./command-line.ts";
import { CliError, EXIT } from "./failure.ts";
import { olderManagerHint } from "./older-manager.ts";
import { reportAndExit, whenNpmIsGone } from "./stop-signals.ts";
import { COMMAND } from "./own-command.ts";

const HELP = `
Exit codes: 0 done · 1 the task or the operation failed · 2 wrong usage · 3 not found · 4 not signed in or not allowed ·
5 the manager does not answer · 6 the manager refused the values · 130 stopped by Ctrl-C

${PROGRAM_FILE === undefined ? "In a checkout with a running `npm start` nothing needs setting. Elsewhere" : "Sign in once"}: ${COMMAND} login URL`;

/** The program with all its commands. */
export function program(): Command {
  const tablao = new Command("tablao")
    .description("Render on a farm of your own machines.")
    .version(VERSION, "-V, --version", "print the version")
    .option("--manager <url>", "the manager's address (or TABLAO_URL)")
    .option("--token <token>", "your token (better: TABLAO_TOKEN, or tablao login)")
    .option("--ca <file>", "certificate authorities to trust as well, in PEM (or TABLAO_CA)")
    .option("--json", "print JSON for scripts")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) })
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText("after", HELP);
  addSubmit(tablao);
  addList(tablao);
  addResults(tablao);
  addExplain(tablao);
  addControl(tablao);
  addPrune(tablao);
  addHistory(tablao);
  addStorage(tablao);
  addWorker(tablao);
  addWorkers(tablao);
  addBlender(tablao);
  addTokens(tablao);
  addSettings(tablao);
  addSignIn(tablao);
  addBackup(tablao);
  addRestore(tablao);
  return tablao;
}

/** The form of our own errors. commander puts its suggestion on a second line. */
function oneLine(text: string): string {
  return `${text
    .replace(/^error: /, "tablao: ")
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")}\n`;
}

/** Run a command line, and end the process. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  // `tablao tasks | head` closes the pipe early; that is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed),
  );
  process.stderr.on("error", () => undefined);
  whenNpmIsGone(() => process.kill(process.pid, "SIGTERM"));
  const tablao = program();
  let running = tablao;
  tablao.hook("preAction", (_, command) => void (running = command));
  try {
    await tablao.parseAsync(args, { from: "user" });
  } catch (thrown) {
    if (thrown instanceof CommanderError) process.exit(thrown.exitCode === 0 ? EXIT.ok : EXIT.usage);
    reportAndExit("tablao", thrown instanceof ManagerError ? await explained(thrown, running) : thrown);
  }
}

/** The failure that a refusal is, and whether the manager's release may be the reason. */
async function explained(refusal: ManagerError, command: Command): Promise<CliError> {
  const failure = explain(refusal);
  const mayBeOld = failure.exitCode === EXIT.refused || failure.exitCode === EXIT.notFound;
  if (!mayBeOld || failure.hint !== undefined) return failure;
  try {
    const { client } = contextOf(command);
    return new CliError(failure.exitCode, failure.message, await olderManagerHint(client));
  } catch {
    // `tablao login` has no manager yet.
    return failure;
  }
}
