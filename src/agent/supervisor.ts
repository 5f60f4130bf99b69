/**
 * Ends the renderers of an agent that is gone: `kill -9`, or the system ran out of memory. An agent
 * that ends by itself ends its processes itself.
 *
 * One shell for each agent waits at a pipe whose other end the agent alone holds, so that the system
 * closes it, however the agent ends. The agent tells it what runs. A shell and not Node, because it
 * needs no file of ours, a megabyte instead of forty, and no more than that when memory is short.
 * Systems without a POSIX shell have no supervisor (Windows): there, the next agent of the same name
 * ends what is left (`left-processes.ts`).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { MARK_VARIABLE } from "./process-tree.ts";

const SHELL = "/bin/sh";

/** A supervisor that was killed itself is started again after this. */
const RESTART_MS = 1_000;

/**
 * Lines that it reads: `lease MARK FOLDER` before a process is started, `group MARK PID` when it runs,
 * `over MARK` when nothing of it is left. Marks are hexadecimal.
 *
 * At the end of the pipe it looks for the processes of all marks that are left, by the rules of
 * `process-tree.ts`, and kills them, until three looks find nothing: a process can start another one
 * before it gets the signal. All that a look needs but `grep` and `sleep` is built into shells. The
 * signals of a terminal and of service managers are ignored, because it ends with the agent anyway.
 */
const SCRIPT = `# Tablao: ends the renderers of an agent that is gone
trap '' HUP INT QUIT TERM
exec 2>/dev/null
export LC_ALL=C PATH="$PATH:/usr/bin:/bin"
cd /
nl='
'
marks=
while read -r what mark rest; do
  case $what in
    lease) marks="$marks $mark"; eval "folder_$mark=\\$rest" ;;
    group) eval "group_$mark=\\$rest" ;;
    over)
      left=
      for each in $marks; do [ "$each" = "$mark" ] || left="$left $each"; done
      marks=$left
      unset "folder_$mark" "group_$mark"
      ;;
  esac
done
[ "$marks" ] || exit 0
patterns=
for mark in $marks; do patterns="$patterns\${patterns:+$nl}${MARK_VARIABLE}=$mark:"; done
quiet=0 round=0
while [ $quiet -lt 3 ] && [ $round -lt 60 ]; do
  found=' '
  others=
  if [ -r /proc/self/stat ]; then
    marked="$nl$(grep -lF "$patterns" /proc/[0-9]*/environ)$nl"
    for dir in /proc/[0-9]*; do
      read -r stat <"$dir/stat" || continue
      set -- \${stat##*) }
      [ "$1" != Z ] || continue
      ours=
      case $marked in *"$nl$dir/environ$nl"*) ours=1 ;; esac
      for mark in $marks; do
        [ ! "$ours" ] || break
        eval "group=\\$group_$mark folder=\\$folder_$mark"
        if [ "$3" = "$group" ]; then
          ours=1
        elif [ "$5" = 0 ] && [ "$folder" ] && cd -P "$dir/cwd"; then
          case $PWD/ in "$folder"/*) ours=1 ;; esac
        fi
      done
      if [ "$ours" ]; then found="$found\${dir#/proc/} "; else others="$others \${dir#/proc/}:$2"; fi
    done
    cd /
    more=1
    while [ "$more" ]; do
      more= left=
      for row in $others; do
        case $found in *" \${row#*:} "*) found="$found\${row%:*} " more=1 ;; *) left="$left $row" ;; esac
      done
      others=$left
    done
  elif [ $round = 0 ]; then
    for mark in $marks; do eval "group=\\$group_$mark"; [ ! "$group" ] || found="$found-$group "; done
  fi
  if [ "$found" = ' ' ]; then quiet=$((quiet + 1)); else quiet=0; kill -s KILL -- $found; fi
  round=$((round + 1))
  sleep 0.1 || sleep 1
done
`;

interface Entry {
  folder: string;
  group: number | undefined;
}

class Supervisor {
  /** What runs, by mark. */
  readonly #entries = new Map<string, Entry>();
  #child: ChildProcess | undefined;
  #users = 0;

  /**
   * Start it; answers with its end. From here on, processes do not outlive this one. `problem` is told when that
   * cannot be kept.
   */
  start(
    problem: (text: string) => void,
    platform: NodeJS.Platform = process.platform,
    shell: string = SHELL,
  ): () => void {
    if (platform === "win32") return () => undefined;
    this.#users++;
    if (this.#users === 1) this.#launch(problem, shell);
    return () => {
      this.#users--;
      if (this.#users > 0) return;
      const child = this.#child;
      this.#child = undefined;
      child?.stdin?.end();
    };
  }

  /** Its process; undefined while there is none. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** A process with this mark, in this folder, is about to be started. */
  announce(mark: string, folder: string): void {
    // A line end in it would begin another line; by the mark its processes are found all the same.
    const entry = { folder: folder.includes("\n") ? "" : folder, group: undefined };
    this.#entries.set(mark, entry);
    this.#tell(`lease ${mark} ${entry.folder}`);
  }

  /** The process with this mark runs, and leads this group. */
  started(mark: string, group: number): void {
    const entry = this.#entries.get(mark);
    if (entry) entry.group = group;
    this.#tell(`group ${mark} ${group}`);
  }

  /** No process with this mark is left. */
  over(mark: string): void {
    this.#entries.delete(mark);
    this.#tell(`over ${mark}`);
  }

  #tell(line: string): void {
    // It is written to the system before this returns, so it is known when the agent dies now.
    this.#child?.stdin?.write(`${line}\n`);
  }

  #launch(problem: (text: string) => void, shell: string): void {
    if (!existsSync(shell)) {
      problem(`there is no ${shell}: if this agent is killed, its renderers go on until it is started again`);
      return;
    }
    // In a session of its own: a terminal's Ctrl-C is not for it.
    const child = spawn(shell, ["-c", SCRIPT, "tablao supervisor"], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      env: { PATH: process.env["PATH"] },
    });
    this.#child = child;
    child.stdin.on("error", () => undefined);
    child.unref();
    (child.stdin as unknown as { unref: () => void }).unref();
    const ended = (why: string): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      problem(`the supervisor of this agent's renderers ended (${why}); starting it again`);
      setTimeout(() => {
        if (this.#users > 0 && this.#child === undefined) this.#launch(problem, shell);
      }, RESTART_MS).unref();
    };
    child.once("error", (error) => ended(error.message));
    child.once("exit", (code, signal) => ended(signal ?? `code ${code}`));
    for (const [mark, { folder, group }] of this.#entries) {
      this.#tell(`lease ${mark} ${folder}`);
      if (group !== undefined) this.#tell(`group ${mark} ${group}`);
    }
  }
}

/** That of this process. */
export const supervisor = new Supervisor();
