/** A worker's report: the part that dispatch needs, and the part that people read. Pure. */
import type { BuildPlatform } from "../protocol/blender-build.ts";
import type { Offer } from "../protocol/needs.ts";
import { PROGRAM_NAMES } from "../protocol/programs.ts";
import type { WorkerPatch, WorkerRegister } from "../protocol/worker.ts";
import type { Info, Offered, WorkerRecord } from "./worker-store.ts";

/** What a worker reports about itself, at registration or later. */
export type Report = Partial<WorkerRegister> & Pick<WorkerPatch, "activity" | "log" | "time_cost">;

/** The info of a worker that has reported none. */
export const NO_INFO: Info = {
  system: "",
  platform: null,
  ip_address: "",
  port: 0,
  name: "",
  version: "",
  mac_address: 0,
  activity: null,
  log: null,
  time_cost: null,
  update_frequent: { load_average: { "1min": 0, "5min": 0, "15min": 0 }, worker_cpu_percent: 0 },
  update_less_frequent: { worker_architecture: "", worker_disk_percent: 0, worker_mem_percent: 0, worker_num_cpus: 0 },
};

/** Fields that people read and whose changes are stored at once. */
export const INFO_FIELDS = [
  "system",
  "platform",
  "port",
  "name",
  "version",
  "mac_address",
  "activity",
  "log",
  "time_cost",
] as const;
/** Measurements: stored from time to time only, because the next ones replace them. */
export const MEASURED_FIELDS = ["update_frequent", "update_less_frequent"] as const;
/** All fields of a report that people read. */
export const REPORTED_FIELDS = [...INFO_FIELDS, ...MEASURED_FIELDS] as const;

/**
 * The offer of a worker, which dispatch compares with the needs of tasks. `fetchable`: the versions of Blender that
 * a worker of a platform can fetch from the farm.
 */
export function offerOf(
  { offered, grantedTags, chosen, version }: Pick<WorkerRecord, "offered" | "grantedTags" | "chosen" | "version">,
  fetchable: (platform: BuildPlatform) => readonly string[],
): Offer {
  const builds = offered.fetches === undefined ? [] : fetchable(offered.fetches);
  // A client of the 2015 protocol does not report its programs: it counts as having all of them.
  // Every agent has its own tool.
  const programs = offered.programs
    ? { "tablao-tool": "", ...offered.programs }
    : Object.fromEntries(PROGRAM_NAMES.map((program) => [program, ""]));
  return {
    programs,
    ...(offered.versions && { versions: offered.versions }),
    ...(builds.length > 0 && { fetchable: builds }),
    tags: chosen.tags ?? [...grantedTags, ...offered.tags],
    allow_exec: offered.allow_exec,
    allow_autoexec: offered.allow_autoexec,
    version,
  };
}

/** What a worker offers after a report: fields that the report leaves out stay. */
export function offeredWith(offered: Offered, report: Report): Offered {
  // An agent that reports its programs and no versions has one of each.
  const versions = report.versions ?? (report.programs === undefined ? offered.versions : undefined);
  const localState = report.local_state === undefined ? offered.local_state : (report.local_state ?? undefined);
  return {
    programs: report.programs ?? offered.programs,
    ...(versions && Object.keys(versions).length > 0 && { versions }),
    tags: report.tags ?? offered.tags,
    slots: report.slots ?? offered.slots,
    allow_exec: report.allow_exec ?? offered.allow_exec,
    allow_autoexec: report.allow_autoexec ?? offered.allow_autoexec,
    ...(localState !== undefined && { local_state: localState }),
    ...(offered.fetches !== undefined && { fetches: offered.fetches }),
  };
}

/** What a worker offers that fetches builds of Blender for this platform; null: it fetches none. */
export function withFetches({ fetches: _before, ...offered }: Offered, fetches: BuildPlatform | null): Offered {
  return fetches === null ? offered : { ...offered, fetches };
}

/** Of these fields, those that the report sets to another value. */
export function changed(info: Info, report: Partial<Info>, fields: readonly (keyof Info)[]): Partial<Info> {
  const different = fields.filter(
    (field) => report[field] !== undefined && JSON.stringify(report[field]) !== JSON.stringify(info[field]),
  );
  return Object.fromEntries(different.map((field) => [field, report[field]]));
}
