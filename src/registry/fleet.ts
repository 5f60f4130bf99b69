/**
 * The workers in memory: presence, what each offers, and what lists show of it. Rebuilt from rows
 * and sockets.
 */
import { taskTypesFor } from "../compilers/index.ts";
import { canDo, type Offer } from "../protocol/needs.ts";
import type { BuildPlatform } from "../protocol/blender-build.ts";
import type { Worker, WorkerInfo, WorkerRegister } from "../protocol/worker.ts";
import type { Needs } from "../protocol/needs.ts";
import type { AgentInstances } from "./agent-instances.ts";
import type { ProgramStore } from "./program-store.ts";
import type { LiveLeases } from "./live-leases.ts";
import { isOnline, lastSeenMs, workerStatus, type Signs } from "./presence.ts";
import type { Sockets } from "./sockets.ts";
import {
  changed,
  INFO_FIELDS,
  MEASURED_FIELDS,
  NO_INFO,
  offeredWith,
  offerOf,
  withFetches,
  REPORTED_FIELDS,
  type Report,
} from "./worker-report.ts";
import type { Chosen, Info, Offered, WorkerRecord, WorkerStore } from "./worker-store.ts";

/**
 * A count of able workers is reused this long, because a report must not cost a walk over the
 * fleet. A change of what a worker offers, or of whether it takes work, discards the counts at
 * once. Only silence shows late, and a silent worker counts as online for 45 s or more anyway
 * (`presence.ts`).
 */
const COUNT_MS = 5_000;
/**
 * A contact is stored when the stored one is this much older. It must be less than HTTP_ONLINE_MS:
 * after an eviction a worker without a socket would count as offline.
 */
const CONTACT_EVERY_MS = 30_000;
/**
 * Measured load is stored at most this often: at every measurement it would cost a row, and the
 * next one replaces it.
 */
const MEASURED_EVERY_MS = 60_000;

/**
 * The most characters of a list of workers. The runtime refuses an answer of an object above 32 MiB,
 * and a character may take two bytes there: without a bound, many workers with long texts would leave
 * everybody without the list. 10,000 usual workers are 8 million characters.
 */
const MAX_LIST_CHARS = 14_000_000;
/** Texts of a worker in lists are cut here; `GET /workers/{id}` has them whole. */
const MAX_LISTED_CHARS = 1_000;

/** The fields that decide whether a worker counts as able: a change of one discards the counts. */
const ABLE_FIELDS = ["offered", "chosen", "version", "enabled", "draining", "leftMs"] as const;
/** The other fields whose change makes the row due. */
const OTHER_FIELDS = ["hostname", "saidRendering", "assignedTask"] as const;

interface Member {
  record: WorkerRecord;
  offer: Offer;
  /** Info that the row does not have yet. */
  unsaved: Partial<Info>;
  /**
   * The row must be written: a field of the record has changed, or one of the info that is stored
   * at once.
   */
  recordDue: boolean;
  infoDue: boolean;
  /** The contact that is in the row, and when this instance last wrote the info. */
  contactSavedMs: number;
  infoSavedMs: number;
  /**
   * The address it last called from, as its info says; null until this instance has read the info.
   */
  ipAddress: string | null;
}

/**
 * Apply a report and a change of the record in memory. `ipAddress`: where the worker called from;
 * null: not from itself.
 */
type Update = (report: Report, ipAddress: string | null, change: Partial<WorkerRecord>) => void;

/** What the fleet knows of workers beside their calls: their signs of life, and what they could fetch. */
export interface FleetSigns {
  sockets: Sockets;
  instances: AgentInstances;
  programs: Pick<ProgramStore, "failedOf">;
  liveLeases: LiveLeases;
  /** From when a worker that was last seen then is removed; null: never. */
  removedFromMs: (seenMs: number) => number | null;
  /** The versions of Blender that a worker of this platform can fetch from the farm. */
  fetchable: (platform: BuildPlatform) => readonly string[];
}

export class Fleet {
  readonly #store: WorkerStore;
  readonly #sockets: Sockets;
  readonly #instances: AgentInstances;
  readonly #programs: Pick<ProgramStore, "failedOf">;
  readonly #live: LiveLeases;
  readonly #removedFromMs: FleetSigns["removedFromMs"];
  readonly #fetchable: FleetSigns["fetchable"];
  readonly #hasEnded: (task: number) => boolean;
  readonly #members: Map<number, Member>;
  readonly #counts = new Map<string, { count: number; untilMs: number }>();

  constructor(store: WorkerStore, signs: FleetSigns, hasEnded: (task: number) => boolean) {
    this.#store = store;
    this.#sockets = signs.sockets;
    this.#instances = signs.instances;
    this.#programs = signs.programs;
    this.#live = signs.liveLeases;
    this.#removedFromMs = signs.removedFromMs;
    this.#fetchable = signs.fetchable;
    this.#hasEnded = hasEnded;
    this.#members = new Map(store.loadAll().map((record) => [record.id, memberOf(record, this.#offerOf(record))]));
  }

  get(id: number): WorkerRecord | undefined {
    return this.#members.get(id)?.record;
  }

  offer(id: number): Offer | undefined {
    return this.#members.get(id)?.offer;
  }

  takesWork(id: number): boolean {
    return this.whyNoWork(id) === null;
  }

  /** Whether an admin lets it take work: it is neither disabled nor draining. */
  isOn(id: number): boolean {
    const record = this.get(id);
    return record !== undefined && record.enabled && !record.draining;
  }

  /** Why it is given no work, whatever waits; null when it takes work. */
  whyNoWork(id: number): "offline" | "disabled" | "draining" | "paused" | null {
    const record = this.get(id);
    if (record === undefined || record.leftMs !== null) return "offline";
    if (!record.enabled) return "disabled";
    return record.draining ? "draining" : (record.offered.local_state ?? null);
  }

  /** The tasks it renders now, newest last; `full` when it has no free slot. */
  load(id: number): { tasks: number[]; full: boolean } {
    const tasks = this.#live.tasksOf(id).map((task) => task.id);
    return { tasks, full: tasks.length >= (this.get(id)?.offered.slots ?? 1) };
  }

  online(id: number, nowMs: number): boolean {
    const record = this.get(id);
    return record !== undefined && isOnline(this.#signs(record), nowMs);
  }

  /** How many workers could be given such a task now. The count may be COUNT_MS old. */
  countAble(needs: Needs, signature: string, nowMs: number): number {
    const known = this.#counts.get(signature);
    if (known && nowMs < known.untilMs) return known.count;
    let count = 0;
    for (const { record, offer } of this.#members.values()) {
      if (this.takesWork(record.id) && canDo(needs, offer) && isOnline(this.#signs(record), nowMs)) count++;
    }
    if (this.#counts.size > 1_000) this.#counts.clear();
    this.#counts.set(signature, { count, untilMs: nowMs + COUNT_MS });
    return count;
  }

  /** A new worker, with a row of its own. */
  add(
    report: WorkerRegister,
    ipAddress: string,
    grantedTags: string[],
    secretSha256: string,
    nowMs: number,
    fetches: BuildPlatform | null = null,
  ): WorkerRecord {
    const none: Offered = { programs: null, tags: [], slots: 1, allow_exec: false, allow_autoexec: false };
    const blank = withFetches(none, fetches);
    const info = { ...NO_INFO, ip_address: ipAddress };
    Object.assign(info, changed(info, report, REPORTED_FIELDS));
    const worker = {
      hostname: report.hostname,
      offered: offeredWith(blank, report),
      version: report.version ?? "",
      grantedTags,
      chosen: {},
      enabled: true,
      draining: false,
      saidRendering: false,
      assignedTask: null,
      registeredMs: nowMs,
      contactMs: nowMs,
      leftMs: null,
    };
    const record = this.#store.insert(worker, info, secretSha256);
    this.#members.set(record.id, memberOf(record, this.#offerOf(record)));
    this.#counts.clear();
    return record;
  }

  /**
   * Change a worker: `work` may update it several times, and sees each update in memory. When it
   * returns, the row is written once, or not at all (`#flush`). Synchronous, so no other call sees
   * memory and row apart.
   */
  apply<T>(id: number, nowMs: number, work: (update: Update) => T): T {
    const member = this.#members.get(id)!;
    const result = work((report, ipAddress, change) => this.#update(member, report, ipAddress, change));
    this.#flush(member, nowMs);
    return result;
  }

  #update(member: Member, report: Report, ipAddress: string | null, change: Partial<WorkerRecord>): void {
    const { record } = member;
    const moved = ipAddress !== null && ipAddress !== member.ipAddress;
    // A worker that only asks for work reports nothing: its info need not be read from SQL.
    if (moved || REPORTED_FIELDS.some((field) => report[field] !== undefined))
      this.#updateInfo(member, report, ipAddress);
    const next = {
      ...record,
      ...change,
      hostname: report.hostname ?? record.hostname,
      offered: offeredWith(change.offered ?? record.offered, report),
      version: report.version ?? record.version,
    };
    const differs = (field: keyof WorkerRecord) => JSON.stringify(record[field]) !== JSON.stringify(next[field]);
    if (ABLE_FIELDS.some(differs)) this.#counts.clear();
    member.recordDue ||= [...ABLE_FIELDS, ...OTHER_FIELDS].some(differs);
    Object.assign(record, next);
    member.offer = this.#offerOf(record);
  }

  #offerOf(record: WorkerRecord): Offer {
    return offerOf(record, this.#fetchable);
  }

  /** The farm keeps other builds of Blender: workers that fetch them offer other versions. */
  buildsChanged(): void {
    for (const member of this.#members.values()) member.offer = this.#offerOf(member.record);
    this.#counts.clear();
  }

  #updateInfo(member: Member, report: Report, ipAddress: string | null): void {
    const info = this.#info(member);
    const changes = changed(info, { ...report, ip_address: ipAddress ?? undefined }, [...INFO_FIELDS, "ip_address"]);
    member.infoDue ||= Object.keys(changes).length > 0;
    member.ipAddress = ipAddress ?? member.ipAddress;
    Object.assign(member.unsaved, changes, changed(info, report, MEASURED_FIELDS));
  }

  /**
   * Write the row if something must outlive this instance. Nothing is written when the worker has
   * only asked for work or measured its load again and the row is recent.
   */
  #flush(member: Member, nowMs: number): void {
    const { record, unsaved } = member;
    const measuredDue = Object.keys(unsaved).length > 0 && nowMs - member.infoSavedMs >= MEASURED_EVERY_MS;
    // The pings of a socket outlive an eviction by themselves.
    const contactDue =
      record.contactMs - member.contactSavedMs >= CONTACT_EVERY_MS && this.#sockets.signMs(record.id) === null;
    if (!member.recordDue && !member.infoDue && !measuredDue && !contactDue) return;
    const info = member.infoDue || measuredDue ? this.#info(member) : null;
    this.#store.save(record, info);
    Object.assign(member, { recordDue: false, infoDue: false, contactSavedMs: record.contactMs });
    if (info) Object.assign(member, { unsaved: {}, infoSavedMs: nowMs });
  }

  /** Call inside a transaction. */
  remove(id: number, nowMs: number): void {
    this.#store.remove(id, this.nameOf(id), nowMs);
    this.#members.delete(id);
    this.#counts.clear();
  }

  /**
   * The keys of the workers in lists, by id: the hostname, followed by the id when an older worker
   * has that hostname.
   */
  keys(): Map<number, string> {
    const keys = new Map<number, string>();
    const taken = new Set<string>();
    for (const [id, { record }] of this.#members) {
      let key = record.hostname;
      while (taken.has(key)) key = `${key}#${id}`;
      taken.add(key);
      keys.set(id, key);
    }
    return keys;
  }

  /** A worker with its latest measurements. */
  view(id: number, nowMs: number): WorkerInfo {
    const member = this.#members.get(id)!;
    return this.#view(member, this.#info(member), nowMs);
  }

  /**
   * All workers by their keys, ordered by id. Their longer texts are cut (`listedWorker`), and the
   * list ends at MAX_LIST_CHARS: the newest workers are left out then.
   */
  list(nowMs: number): Record<string, Worker> {
    const infos = this.#store.infos();
    const keys = this.keys();
    const listed: [string, Worker][] = [];
    let chars = 0;
    for (const [id, member] of this.#members) {
      const worker = listedWorker(this.#view(member, { ...infos.get(id)!, ...member.unsaved }, nowMs));
      const key = keys.get(id)!;
      chars += key.length + charsOf(worker);
      if (chars > MAX_LIST_CHARS) break;
      listed.push([key, worker]);
    }
    return Object.fromEntries(listed);
  }

  ids(): Iterable<number> {
    return this.#members.keys();
  }

  /** Workers with their latest measurements, ordered by id; at most `limit`. */
  infos(nowMs: number, limit: number): WorkerInfo[] {
    const infos = this.#store.infos();
    const members = [...this.#members].slice(0, limit);
    return members.map(([id, member]) => this.#view(member, { ...infos.get(id)!, ...member.unsaved }, nowMs));
  }

  /**
   * The task of its newest live lease, else the one that it was assigned last unless that has ended
   * or the worker is offline.
   */
  currentTask(id: number, nowMs: number): number | null {
    const live = this.#live.newestOf(id);
    if (live !== null) return live;
    const assigned = this.get(id)?.assignedTask ?? null;
    // What it was assigned and has not claimed, it does not get while it takes no work.
    return assigned === null || !this.takesWork(id) || !this.online(id, nowMs) || this.#hasEnded(assigned)
      ? null
      : assigned;
  }

  status(id: number): "enabled" | "disabled" | "rendering" {
    const { enabled, saidRendering } = this.get(id)!;
    return workerStatus({ enabled, saidRendering, liveLease: this.#live.countOf(id) > 0 });
  }

  /** Workers that are to be removed because they were not seen for long. */
  unseen(nowMs: number): number[] {
    return [...this.#members.values()]
      .filter(({ record }) => (this.#expiresMs(record, nowMs) ?? Infinity) <= nowMs)
      .map(({ record }) => record.id);
  }

  /** When it is removed unless it calls again; null while it is online, or for ever. */
  #expiresMs(record: WorkerRecord, nowMs: number): number | null {
    const signs = this.#signs(record);
    return isOnline(signs, nowMs) || signs.liveLease ? null : this.#removedFromMs(lastSeenMs(signs));
  }

  /** What it last said that it does, if it said so. */
  activityOf(id: number): string | null {
    return this.#info(this.#members.get(id)!).activity;
  }

  /** The name that an admin or its own machine gave the worker, else its hostname. */
  nameOf(id: number): string {
    const member = this.#members.get(id)!;
    return member.record.chosen.name ?? (this.#info(member).name || member.record.hostname);
  }

  #info(member: Member): Info {
    return { ...this.#store.info(member.record.id), ...member.unsaved };
  }

  #signs(record: WorkerRecord): Signs {
    const { id, contactMs, leftMs } = record;
    return { socketMs: this.#sockets.signMs(id), contactMs, leftMs, liveLease: this.#live.countOf(id) > 0 };
  }

  #view({ record, offer }: Member, { platform: _platform, ...info }: Info, nowMs: number): WorkerInfo {
    const signs = this.#signs(record);
    return {
      ...info,
      name: record.chosen.name ?? info.name,
      id: record.id,
      hostname: record.hostname,
      connection: isOnline(signs, nowMs) ? "online" : "offline",
      current_task: this.currentTask(record.id, nowMs),
      status: this.status(record.id),
      slots: record.offered.slots,
      tags: [...new Set(offer.tags)],
      programs: record.offered.programs ?? {},
      ...(record.offered.versions && { versions: record.offered.versions }),
      ...(record.offered.fetches !== undefined && { fetches: record.offered.fetches }),
      task_types: taskTypesFor(offer),
      draining: record.draining,
      local_state: record.offered.local_state ?? null,
      chosen: chosenFields(record.chosen),
      registered_ms: record.registeredMs,
      last_seen_ms: lastSeenMs(signs),
      expires_ms: this.#expiresMs(record, nowMs),
      other_agent: this.#instances.other(record.id, nowMs),
      update_failed: this.#programs.failedOf(record.id),
    };
  }
}

function chosenFields({ name, tags }: Chosen): ("name" | "tags")[] {
  return [...(name === undefined ? [] : (["name"] as const)), ...(tags === undefined ? [] : (["tags"] as const))];
}

/** A worker as lists show it: without its measurements, and with the end of its log. */
function listedWorker({
  mac_address: _mac,
  update_frequent: _often,
  update_less_frequent: _seldom,
  ...worker
}: WorkerInfo): Worker {
  return {
    ...worker,
    log: worker.log?.slice(-MAX_LISTED_CHARS) ?? null,
    activity: worker.activity?.slice(0, MAX_LISTED_CHARS) ?? null,
  };
}

/** About the length of the worker's JSON: what a worker can make longer, and a length for all else. */
function charsOf({ hostname, system, name, tags, programs, versions = {}, log, activity }: Worker): number {
  const found = [...Object.entries(programs).flat(), ...Object.entries(versions).flat(2)];
  const texts = [hostname, system, name, ...tags, ...found, log ?? "", activity ?? ""];
  return texts.reduce((chars, text) => chars + text.length + 3, 500);
}

function memberOf(record: WorkerRecord, offer: Offer): Member {
  const saved = {
    unsaved: {},
    recordDue: false,
    infoDue: false,
    contactSavedMs: record.contactMs,
    infoSavedMs: 0,
    ipAddress: null,
  };
  return { record, offer, ...saved };
}
