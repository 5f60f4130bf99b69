/**
 * The places where a program may be, from the patterns of its row in `protocol/programs.ts`. Pure but for
 * the listing of folders, which tests replace.
 */
import path from "node:path";
import type { Platform } from "../protocol/plan.ts";

/** The machine, as far as the places depend on it. */
export interface Ground {
  platform: Platform;
  home: string;
  env: Readonly<Record<string, string | undefined>>;
  /** The names in a folder; empty where it cannot be read. */
  list: (folder: string) => Promise<readonly string[]>;
}

/** What Windows calls these folders, where an agent runs without the variables. */
const WINDOWS_FOLDERS: Readonly<Record<string, string>> = {
  ProgramFiles: "C:\\Program Files",
  "ProgramFiles(x86)": "C:\\Program Files (x86)",
};

/**
 * The paths that match a pattern, the names with the highest numbers first. A pattern without `*` gives one
 * path, whether it is there or not; one whose variable is not set gives none.
 */
export async function placesOf(pattern: string, ground: Ground): Promise<string[]> {
  const system = ground.platform === "windows" ? path.win32 : path.posix;
  const [first = "", ...names] = pattern.split("/");
  const start = startOf(first, ground);
  if (start === undefined) return [];
  let folders = [start];
  for (const name of names) {
    const next: string[] = [];
    for (const folder of folders) {
      const found = name.includes("*") ? await matching(folder, name, ground) : [name];
      next.push(...found.map((one) => system.join(folder, one)));
    }
    folders = next;
  }
  return folders;
}

function startOf(first: string, { platform, home, env }: Ground): string | undefined {
  if (first === "") return "/";
  if (first === "~") return home;
  const variable = /^%([\w()]+)%$/.exec(first)?.[1];
  if (variable === undefined) throw new Error(`a place begins with '/', '~' or a variable, not with '${first}'`);
  return env[variable] || (platform === "windows" ? WINDOWS_FOLDERS[variable] : undefined);
}

/** Folders on macOS and Windows do not tell capitals from small letters. */
async function matching(folder: string, name: string, { platform, list }: Ground): Promise<string[]> {
  const parts = name.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  const form = new RegExp(`^${parts.join(".*")}$`, platform === "linux" ? "" : "i");
  const names = (await list(folder)).filter((one) => form.test(one));
  return names.toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }));
}
