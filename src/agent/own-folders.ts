/**
 * The files of an agent. They are named after the worker, and a worker without `--name` has the name
 * of its machine, which can change: its identity tells the machine, so that the agent finds it again.
 */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { readPrivateJson } from "../client/private-file.ts";
import { identitySchema, type Identity } from "./identity.ts";
import { foldersOf, foldersOfKey, type Folders, type WorkerSettings } from "./options.ts";

type Place = Pick<WorkerSettings, "name" | "unnamed" | "stateDir" | "workDir">;

interface Found {
  key: string;
  identity: Identity;
  modifiedMs: number;
}

/**
 * The files of the worker that this agent is. `machine` is the id of this machine, where it has one
 * (`machine.ts`): machines may share a folder, so an identity that names no machine, or another one,
 * is found by its name only.
 */
export function ownFolders(settings: Place, machine: string | undefined): Folders {
  const named = foldersOf(settings);
  if (!settings.unnamed || machine === undefined) return named;
  const mine = identitiesIn(settings.stateDir).filter(({ identity }) => identity.machine === machine);
  const files = mine.map(({ key }) => foldersOfKey(key, settings));
  if (files.some(({ identity }) => identity === named.identity)) return named;
  const newest = mine.toSorted((a, b) => b.modifiedMs - a.modifiedMs)[0];
  return newest === undefined ? named : foldersOfKey(newest.key, settings);
}

/** The names of the files of all workers of a folder, at most `limit`: for a message. */
export function workersIn(stateDir: string, limit: number): string[] {
  return identitiesIn(stateDir)
    .map(({ key }) => key)
    .toSorted()
    .slice(0, limit);
}

/** Identities that can be read; others are told when their own worker is started. */
function identitiesIn(stateDir: string): Found[] {
  let names: string[];
  try {
    names = readdirSync(stateDir);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".json"))
    .flatMap((name) => {
      const file = join(stateDir, name);
      try {
        const identity = readPrivateJson(file, identitySchema, "it is no identity of a worker");
        return identity ? [{ key: basename(name, ".json"), identity, modifiedMs: statSync(file).mtimeMs }] : [];
      } catch {
        return [];
      }
    });
}
