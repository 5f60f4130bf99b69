/**
 * The folder of an installed program, as the join line makes it: `tablao-<hash>.mjs`, and `current` with the
 * name of the one that is started. Programs from which this machine went back are in `refused`.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { writeFileAtomic } from "../../client/private-file.ts";
import { programFileName } from "../../protocol/program.ts";

const CURRENT = "current";
const REFUSED = "refused";
const PROGRAM = /^tablao-[0-9a-f]{16}\.mjs$/;
/** The most refused programs that are remembered, the newest ones. */
const MAX_REFUSED = 20;
/** How long a program stays that is not used any more. */
const KEPT_MS = 7 * 86_400_000;

export class ProgramFolder {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * The folder of this program file; null when it was not installed by the join line, such as in a package or a
   * container: what brought it there must renew it.
   */
  static of(programFile: string): ProgramFolder | null {
    const folder = path.dirname(programFile);
    return PROGRAM.test(path.basename(programFile)) && existsSync(path.join(folder, CURRENT))
      ? new ProgramFolder(folder)
      : null;
  }

  /** The path of a program by its file's name. */
  file(name: string): string {
    return path.join(this.#folder, name);
  }

  /** The name of the program that is started; null when that cannot be told, or it is gone. */
  current(): string | null {
    try {
      const name = readFileSync(this.file(CURRENT), "utf8").trim();
      return PROGRAM.test(name) && existsSync(this.file(name)) ? name : null;
    } catch {
      return null;
    }
  }

  /** From now on this one is started. Windows' `set /p` wants its own line break. */
  setCurrent(name: string): void {
    writeFileAtomic(this.file(CURRENT), process.platform === "win32" ? `${name}\r\n` : `${name}\n`);
  }

  /** Store a program whose hash was checked; answers with its file's name. */
  store(sha256: string, bytes: Uint8Array): string {
    const name = programFileName(sha256);
    writeFileAtomic(this.file(name), bytes);
    return name;
  }

  /** The SHA-256 of a program; null when it cannot be read. */
  sha256(name: string): string | null {
    try {
      return createHash("sha256")
        .update(readFileSync(this.file(name)))
        .digest("hex");
    } catch {
      return null;
    }
  }

  /** The hashes of programs from which this machine went back, the newest last. */
  refused(): string[] {
    try {
      return readFileSync(this.file(REFUSED), "utf8")
        .split(/\s+/)
        .filter((line) => /^[0-9a-f]{64}$/.test(line));
    } catch {
      return [];
    }
  }

  /** This machine went back from the program with this hash. */
  refuse(sha256: string): void {
    const all = [...this.refused().filter((one) => one !== sha256), sha256].slice(-MAX_REFUSED);
    writeFileAtomic(this.file(REFUSED), `${all.join("\n")}\n`);
  }

  /**
   * Remove all other programs that are older than a week: another agent of this machine may still run a newer
   * one. One that is in use on Windows cannot be removed; the next update does it.
   */
  keepOnly(names: readonly string[], nowMs = Date.now()): void {
    for (const name of readdirSync(this.#folder)) {
      if (!PROGRAM.test(name) || names.includes(name)) continue;
      try {
        if (nowMs - statSync(this.file(name)).mtimeMs > KEPT_MS) rmSync(this.file(name), { force: true });
      } catch {
        // It is tried again after the next update.
      }
    }
  }
}
