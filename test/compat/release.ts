/**
 * The fixtures of releases (`fixtures/MAJOR.MINOR.json.gz`): the program and the manager of a release, as it was
 * shipped, so that the tests can run them against today's (`test/e2e/compat.test.ts`).
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import type { Migration } from "../../src/protocol/local-control.ts";

/** How many releases are kept. */
export const KEPT_RELEASES = 3;
/** For how many minor versions agents and managers work together (docs/operations.md). */
const SUPPORTED_MINORS = 2;

/** The folder of the fixtures. */
export const FIXTURES = path.join(import.meta.dirname, "fixtures");
const FIXTURE = /^(\d+)\.(\d+)\.json\.gz$/;

/** What a fixture holds. */
export interface Release {
  version: string;
  commit: string;
  /** The files of the program, name → text: the first is the command line and the agent. */
  program: Record<string, string>;
  manager: ManagerOfRelease;
}

/** The manager's Worker as one module, and what it needs. */
export interface ManagerOfRelease {
  script: string;
  compatibilityDate: string;
  /** The classes of the Durable Objects, binding → class. */
  objects: Record<string, string>;
  d1: string;
  r2: string;
  migrations: Migration[];
}

/** The file of the fixture of a version. */
export function fixtureFile(version: string): string {
  const [major, minor] = version.split(".");
  return path.join(FIXTURES, `${major}.${minor}.json.gz`);
}

/** The files of all fixtures, the oldest release first. */
export function fixtureFiles(): string[] {
  return readdirSync(FIXTURES)
    .flatMap((name) => {
      const [, major, minor] = FIXTURE.exec(name) ?? [];
      return major === undefined ? [] : [{ name, order: Number(major) * 1_000 + Number(minor) }];
    })
    .toSorted((a, b) => a.order - b.order)
    .map(({ name }) => path.join(FIXTURES, name));
}

/** The releases that this version must work together with, the oldest first. */
export function supportedReleases(version: string): Release[] {
  const [major, minor] = version.split(".").map(Number) as [number, number];
  return fixtureFiles()
    .map((file) => JSON.parse(gunzipSync(readFileSync(file)).toString("utf8")) as Release)
    .filter((release) => {
      const [itsMajor, itsMinor] = release.version.split(".").map(Number) as [number, number];
      return itsMajor === major && minor - itsMinor <= SUPPORTED_MINORS;
    });
}

/** Write the program of a release into a folder; answers with the file to run. */
export function writeProgram(release: Release, folder: string): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(release.program)) writeFileSync(path.join(folder, name), text);
  return path.join(folder, Object.keys(release.program)[0]!);
}
