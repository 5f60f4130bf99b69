/**
 * Whether Blender failed because a newer Blender saved the file. Then the worker gives the frames back
 * (`version` in `task/rules/verdicts.ts`): no other worker's try is used up by what this one cannot read.
 *
 * Blender 3.4 reads no file of 5.0 ("not a blend file"), and crashes with many of 4.5, without a word. So what the
 * file itself says counts, too: the first bytes of a file that is not compressed name its version.
 */
import { open } from "node:fs/promises";
import { compareVersions, isNewerMinor, minorOf } from "../protocol/blender-version.ts";
import type { ParserEvent } from "../parsers/parser.ts";
import type { Exit } from "./process.ts";

/** `BLENDER-v405`, `BLENDER_V300`: to 4.x. Pointer size, byte order, version. */
const HEADER = /^BLENDER[-_][vV](\d{1,2})(\d\d)/;
/** `BLENDER17-01v0500`: from 5.0 on. Length of the header, pointer size, format, byte order, version. */
const HEADER_FROM_5 = /^BLENDER\d\d[-_]\d\d[vV](\d\d)(\d\d)/;
const HEADER_BYTES = 17;

/** Errors after which Blender has not read the file. */
const UNREADABLE = /^(?:Failed to read|Cannot read)/;
/**
 * Signals of a crash. A kill (SIGKILL: no memory left) or an end by the user is none. Blender on Windows ends by the
 * number of the signal, SIGSEGV; where its own handler does not run, by the system's number of an access violation.
 */
const CRASHES: readonly (NodeJS.Signals | null)[] = ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"];
const WINDOWS_CRASHES: readonly (number | null)[] = [11, 0xc0000005];

/** The version that saved a .blend, from its first bytes: `4.5`; undefined for a file that is compressed, or is none. */
export function versionInHeader(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.subarray(0, HEADER_BYTES)).toString("latin1");
  const found = HEADER.exec(head) ?? HEADER_FROM_5.exec(head);
  return found ? `${Number(found[1])}.${Number(found[2])}` : undefined;
}

/** The same of a file. Never rejects: a file that cannot be read says nothing. */
async function versionOfFile(path: string): Promise<string | undefined> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
      return versionInHeader(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** What is known of a Blender that has failed. */
export interface FailedBlender {
  /** Its version. */
  own: string;
  /** Its arguments, with the paths of this machine. */
  args: readonly string[];
  exit: Exit;
  /** Errors in its output. */
  errors: readonly ParserEvent[];
  /** What it said of a newer version that saved the file: null without the version; undefined: nothing. */
  newerFile: string | null | undefined;
}

/**
 * The reason to give the frames back: `saved by Blender 5.0, this worker has 3.4.1`; null when the failure has
 * another cause. A file of a newer version that was read, and whose render then failed by itself, is such a one.
 */
export async function newerFileReason({ own, args, exit, errors, newerFile }: FailedBlender): Promise<string | null> {
  const unreadable = errors.some((event) => event.kind === "error" && UNREADABLE.test(event.text));
  const crashed = exit.kind === "exit" && (CRASHES.includes(exit.signal) || WINDOWS_CRASHES.includes(exit.code));
  if (!unreadable && !crashed) return null;
  const file = args.find((arg) => /\.blend$/i.test(arg));
  const said = [newerFile, file === undefined ? undefined : await versionOfFile(file)];
  const newer = said.filter((version) => version != null && isNewerMinor(version, own));
  // The scene may be older, and a library that it links newer.
  const saved = newer.toSorted((a, b) => compareVersions(a!, b!)).at(-1);
  if (saved != null) return `saved by Blender ${saved}, this worker has ${own}`;
  return newerFile === null ? `saved by a newer Blender than ${minorOf(own) ?? own}, which this worker has` : null;
}
