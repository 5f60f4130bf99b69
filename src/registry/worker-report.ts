/** A worker's report: what of it dispatch needs, and what people read. Pure. */
import type { Offer } from "../protocol/needs.ts";
import { PROGRAMS } from "../protocol/plan.ts";
import type { WorkerPatch, WorkerRegister } from "../protocol/worker.ts";
import type { Info, Offered, WorkerRecord } from "./worker-store.ts";

/** What a worker says about itself, at registration or later. */
export type Report = Partial<WorkerRegister> & Pick<WorkerPatch, "activity" | "log" | "time_cost">;

/** What is shown of a worker that has not said. */
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

/** Fields of a report that people read; what changes in them is stored at once. */
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
/** Measurements: the next one replaces them anyway. */
export const MEASURED_FIELDS = ["update_frequent", "update_less_frequent"] as const;
/** All that a worker may say of itself for people to read. */
export const REPORTED_FIELDS = [...INFO_FIELDS, ...MEASURED_FIELDS] as const;

/** What dispatch compares with a task's needs. */
export function offerOf({ offered, grantedTags }: Pick<WorkerRecord, "offered" | "grantedTags">): Offer {
  // A client of 2015 never says what it has: it is trusted with every program, as it was then. Every agent has its own tool.
  const programs = offered.programs
    ? { "tablao-tool": "", ...offered.programs }
    : Object.fromEntries(PROGRAMS.map((program) => [program, ""]));
  return {
    programs,
    tags: [...grantedTags, ...offered.tags],
    allow_exec: offered.allow_exec,
    allow_autoexec: offered.allow_autoexec,
  };
}

/** What a worker can do after a report: what the report leaves out stays. */
export function offeredWith(offered: Offered, report: Report): Offered {
  return {
    programs: report.programs ?? offered.programs,
    tags: report.tags ?? offered.tags,
    slots: report.slots ?? offered.slots,
    allow_exec: report.allow_exec ?? offered.allow_exec,
    allow_autoexec: report.allow_autoexec ?? offered.allow_autoexec,
  };
}

/** Defined fields of a report that differ from what is known. */
export function changed(info: Info, report: Partial<Info>, fields: readonly (keyof Info)[]): Partial<Info> {
  const different = fields.filter(
    (field) => report[field] !== undefined && JSON.stringify(report[field]) !== JSON.stringify(info[field]),
  );
  return Object.fromEntries(different.map((field) => [field, report[field]]));
}
