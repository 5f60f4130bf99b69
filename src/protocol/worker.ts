/** Workers: what an agent reports, what lists show, what a push says. */
import { z } from "zod";
import { idSchema, instantSchema, lineSchema, machineTextSchema, tagSchema } from "./fields.ts";
import { PLATFORMS } from "./plan.ts";

/** A program the agent found, by its name in plans, with the version it printed. */
const programsSchema = z.record(z.string().regex(/^[a-z0-9_-]{1,32}$/), lineSchema(200));

const load = z.number().min(0).max(1e6);
const percent = z.number().min(0).max(1e6);

const updateFrequentSchema = z.object({
  load_average: z.object({ "1min": load, "5min": load, "15min": load }),
  worker_cpu_percent: percent,
});
const updateLessFrequentSchema = z.object({
  worker_architecture: lineSchema(64),
  worker_disk_percent: percent,
  worker_mem_percent: percent,
  worker_num_cpus: z.int().min(0).max(100_000),
});

/** Fields an agent may report at registration and later. */
const reportFields = {
  hostname: lineSchema(253).min(1),
  system: lineSchema(200),
  platform: z.enum(PLATFORMS).optional(),
  port: z.int().min(0).max(65_535).optional(),
  mac_address: z
    .int()
    .min(0)
    .max(2 ** 48 - 1)
    .optional(),
  name: lineSchema(200).optional(),
  slots: z.int().min(1).max(1_024).optional(),
  tags: z.array(tagSchema).max(16).optional(),
  programs: programsSchema
    .optional()
    .meta({ description: "Programs found, with versions; decides which task types it can do" }),
  allow_exec: z.boolean().optional(),
  allow_autoexec: z.boolean().optional(),
  version: lineSchema(64).optional().meta({ description: "The agent's version" }),
  update_frequent: updateFrequentSchema.optional(),
  update_less_frequent: updateLessFrequentSchema.optional(),
};

export const workerRegisterSchema = z.strictObject(reportFields).meta({ id: "WorkerRegister" });
export type WorkerRegister = z.infer<typeof workerRegisterSchema>;

export const workerPatchSchema = z
  .strictObject({
    ...z.object(reportFields).partial().shape,
    /**
     * `available` asks for work; `rendering` says it is busy; `enabled`, `disabled` switch it on and off (admins, and the
     * worker itself).
     */
    status: z.enum(["available", "rendering", "enabled", "disabled", "drain"]).optional(),
    /** With `available`: the last task that had nothing for this worker, and for how long not to offer it again. */
    refused: z.strictObject({ task_id: idSchema, retry_after_ms: z.int().min(0).max(86_400_000) }).optional(),
    activity: machineTextSchema(4_096).nullable().optional(),
    log: machineTextSchema(65_536).nullable().optional(),
    time_cost: z.number().min(0).max(1e9).nullable().optional(),
    /** The agent is stopping on purpose: offline at once, not after the silence. */
    leaving: z.boolean().optional(),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), "must change something")
  .meta({ id: "WorkerPatch" });
export type WorkerPatch = z.infer<typeof workerPatchSchema>;

/** PATCH /workers/N. `epoch` goes into the claim. */
export const workerPatchedSchema = z
  .object({ task_id: idSchema.nullable(), epoch: z.int(), status: z.enum(["enabled", "disabled", "rendering"]) })
  .meta({ id: "WorkerPatched" });
export type WorkerPatched = z.infer<typeof workerPatchedSchema>;

/** The documented object of GET /workers, and what follows it. */
export const workerSchema = z
  .object({
    activity: z.string().nullable(),
    connection: z.enum(["online", "offline"]),
    current_task: idSchema.nullable(),
    hostname: z.string(),
    id: idSchema,
    ip_address: z.string(),
    log: z.string().nullable(),
    port: z.int(),
    status: z.enum(["enabled", "disabled", "rendering"]),
    system: z.string(),
    time_cost: z.number().nullable(),
    name: z.string(),
    slots: z.int(),
    tags: z.array(z.string()),
    programs: z.record(z.string(), z.string()),
    task_types: z.array(z.string()).meta({ description: "Task types this worker can do" }),
    draining: z.boolean(),
    version: z.string(),
    registered_ms: instantSchema,
    last_seen_ms: instantSchema,
  })
  .meta({ id: "Worker" });
export type Worker = z.infer<typeof workerSchema>;

export const workersSchema = z
  .record(z.string(), workerSchema)
  .meta({ id: "Workers", description: "Keyed by hostname" });

/** POST /workers. `secret` is shown once, to a worker that was not known. */
export const workerRegisteredSchema = z
  .record(z.string(), workerSchema.extend({ secret: z.string().optional() }))
  .meta({ id: "WorkerRegistered" });

/** GET /workers/N. */
export const workerInfoSchema = workerSchema
  .extend({
    mac_address: z.int(),
    update_frequent: updateFrequentSchema,
    update_less_frequent: updateLessFrequentSchema,
  })
  .meta({ id: "WorkerInfo" });
export type WorkerInfo = z.infer<typeof workerInfoSchema>;

/** Sent by an agent over its socket; answered by the runtime itself without waking the object. */
export const PING = "ping";
export const PONG = "pong";
/** Agents ping this often; a worker silent for three of these is offline. */
export const PING_MS = 15_000;
export const OFFLINE_AFTER_MS = 3 * PING_MS;

/** What the manager pushes over a worker's socket. */
export const pushSchema = z.discriminatedUnion("type", [
  /** There may be work: ask with PATCH available. */
  z.object({ type: z.literal("work") }),
  /** These leases are gone: kill their processes. */
  z.object({ type: z.literal("cancel"), task_id: idSchema, lease_ids: z.array(z.string()) }),
  /** Finish what runs, take nothing more. */
  z.object({ type: z.literal("drain") }),
  /** Take work again. */
  z.object({ type: z.literal("enable") }),
]);
export type Push = z.infer<typeof pushSchema>;
