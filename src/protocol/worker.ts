/** Workers: what an agent reports, what lists show, and what the manager pushes. */
import { z } from "zod";
import { arrayOf, recordOf } from "./bounded.ts";
import { idSchema, instantSchema, lineSchema, machineTextSchema, tagSchema } from "./fields.ts";
import { BUILD_PLATFORMS } from "./blender-build.ts";
import { MAX_BLENDERS } from "./blender-version.ts";
import { PLATFORMS } from "./plan.ts";

/**
 * The most programs of a worker; agents look for three. Every list of workers has them, so without a
 * bound one worker could make the list larger than an answer can be.
 */
export const MAX_PROGRAMS = 32;

/** Of a program with several versions: all of them, the one that is used by default first. */
const versionsSchema = recordOf(
  z.string().regex(/^[a-z0-9_-]{1,32}$/),
  arrayOf(lineSchema(200), MAX_BLENDERS),
  MAX_PROGRAMS,
);

/** Programs that the agent found: their names in plans, with the versions that they printed. */
const programsSchema = recordOf(z.string().regex(/^[a-z0-9_-]{1,32}$/), lineSchema(200), MAX_PROGRAMS);

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

/**
 * What somebody at the machine has asked of its agent (`tablao worker pause`, `tablao worker drain`): it
 * finishes the frame that runs and takes no more work. A paused agent stays and waits for `tablao worker
 * resume`; a draining one ends.
 */
const localStateSchema = z.enum(["paused", "draining"]).nullable();
/** What somebody at the machine has asked of its agent. */
export type LocalState = z.infer<typeof localStateSchema>;

/** Fields that an agent may report at registration and later. */
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
  tags: arrayOf(tagSchema, 16).optional(),
  programs: programsSchema
    .optional()
    .meta({ description: "Programs found, with versions; decides which task types it can do" }),
  versions: versionsSchema.optional().meta({
    description: "All versions of the programs that it has several of, the one used by default first",
  }),
  allow_exec: z.boolean().optional(),
  allow_autoexec: z.boolean().optional(),
  local_state: localStateSchema
    .optional()
    .meta({ description: "What somebody at the machine has asked of its agent; null: nothing. From the agent alone" }),
  version: lineSchema(64).optional().meta({ description: "The agent's version" }),
  update_frequent: updateFrequentSchema.optional(),
  update_less_frequent: updateLessFrequentSchema.optional(),
};

/** POST /workers: an agent registers. */
export const workerRegisterSchema = z.strictObject(reportFields).meta({ id: "WorkerRegister" });
/** A registration, as an agent sends it. */
export type WorkerRegister = z.infer<typeof workerRegisterSchema>;

/** PATCH /workers/N: a worker asks for work or reports, or an admin switches it. */
export const workerPatchSchema = z
  .strictObject({
    ...z.object(reportFields).partial().shape,
    /**
     * `available` asks for work; `rendering` reports that it is busy; `enabled` and `disabled`
     * switch the worker on and off (admins, and the worker itself); `drain` lets it finish what
     * runs and gives it no more; `stop_now` does the same, and takes its leases away at once.
     */
    status: z.enum(["available", "rendering", "enabled", "disabled", "drain", "stop_now"]).optional(),
    name: lineSchema(200).nullable().optional().meta({
      description: "By an admin: its name, whatever it reports; null or empty: the name that it reports",
    }),
    tags: arrayOf(tagSchema, 16).nullable().optional().meta({
      description:
        "By an admin: all its tags, whatever it reports and its join token gave it; null: the tags of these two again",
    }),
    /**
     * With `available`: the last task that had nothing for this worker, and for how many
     * milliseconds not to offer it again.
     */
    refused: z.strictObject({ task_id: idSchema, retry_after_ms: z.int().min(0).max(86_400_000) }).optional(),
    activity: machineTextSchema(4_096).nullable().optional(),
    log: machineTextSchema(65_536).nullable().optional(),
    time_cost: z.number().min(0).max(1e9).nullable().optional(),
    /**
     * The agent is stopping on purpose: the worker is offline at once, not only after
     * OFFLINE_AFTER_MS.
     */
    leaving: z.boolean().optional(),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), "must change something")
  .meta({ id: "WorkerPatch" });
/** A change of a worker, or its report. */
export type WorkerPatch = z.infer<typeof workerPatchSchema>;

/**
 * The answer to PATCH /workers/N: the task to claim from (null for none). `epoch` goes into the
 * claim.
 */
export const workerPatchedSchema = z
  .object({
    task_id: idSchema.nullable(),
    epoch: z.int(),
    status: z.enum(["enabled", "disabled", "rendering"]),
    blender_builds: z.array(z.string()).optional().meta({
      description:
        "The versions of Blender that the worker can fetch from the farm; only for an agent that says with `Tablao-Fetches-Blender` that it does",
    }),
  })
  .meta({ id: "WorkerPatched" });
/** The answer to PATCH /workers/N. */
export type WorkerPatched = z.infer<typeof workerPatchedSchema>;

/**
 * Another agent that has the identity of a worker, and is refused because that worker's own is at
 * work: a machine, or its state folder, was copied. `seen_ms`: when it last tried.
 */
const otherAgentSchema = z.object({ hostname: z.string(), ip_address: z.string(), seen_ms: instantSchema });
/** Another agent with the identity of a worker. */
export type OtherAgent = z.infer<typeof otherAgentSchema>;

/**
 * The header by which the registry tells two agents with one identity apart: a random text of the
 * agent's process, sent with every call and over the socket. A header, because managers up to 0.1
 * refuse fields that they do not know.
 */
export const INSTANCE_HEADER = "Tablao-Instance";
/** What INSTANCE_HEADER may hold; another value counts as none. */
export const INSTANCE_TEXT = /^[A-Za-z0-9-]{8,64}$/;

/**
 * One worker, as GET /workers shows it. The fields up to `time_cost` are those of the 2015
 * protocol.
 */
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
    versions: z.record(z.string(), z.array(z.string())).optional().meta({
      description: "All versions of the programs that it has several of, the one used by default first",
    }),
    fetches: z.enum(BUILD_PLATFORMS).optional().meta({
      description: "It fetches builds of Blender that the farm keeps for this platform; absent: it fetches none",
    }),
    task_types: z.array(z.string()).meta({ description: "Task types this worker can do" }),
    draining: z.boolean(),
    local_state: localStateSchema.optional(),
    chosen: z
      .array(z.enum(["name", "tags"]))
      .optional()
      .meta({ description: "Which of its fields an admin has set; what the worker reports of them is not used" }),
    version: z.string(),
    registered_ms: instantSchema,
    last_seen_ms: instantSchema,
    expires_ms: instantSchema.nullable().optional().meta({
      description:
        "When it is removed unless it calls again (setting `unseen_workers_days`); null: never, or it is online",
    }),
    other_agent: otherAgentSchema
      .nullable()
      .optional()
      .meta({ description: "Another agent with this worker's identity, which is refused; null when there is none" }),
    update_failed: z
      .string()
      .nullable()
      .optional()
      .meta({ description: "SHA-256 of the program that it fetched and went back from; null when there is none" }),
  })
  .meta({ id: "Worker" });
/** One worker, as lists show it. */
export type Worker = z.infer<typeof workerSchema>;

/** GET /workers: hostname → worker. */
export const workersSchema = z
  .record(z.string(), workerSchema)
  .meta({ id: "Workers", description: "Keyed by hostname" });

/**
 * The answer to POST /workers. `secret` is in this one answer only, and only for a worker that was
 * not known.
 */
export const workerRegisteredSchema = z
  .record(z.string(), workerSchema.extend({ secret: z.string().optional() }))
  .meta({ id: "WorkerRegistered" });

/** GET /workers/N: the worker, with its latest report. */
export const workerInfoSchema = workerSchema
  .extend({
    mac_address: z.int(),
    update_frequent: updateFrequentSchema,
    update_less_frequent: updateLessFrequentSchema,
  })
  .meta({ id: "WorkerInfo" });
/** One worker, with its latest report. */
export type WorkerInfo = z.infer<typeof workerInfoSchema>;

/**
 * An agent or a page sends this over its socket; the runtime itself answers PONG, without waking
 * the object. With other texts, older agents would wake the object and get no answer.
 */
export const PING = "ping";
/** The answer to PING. */
export const PONG = "pong";
/**
 * Milliseconds between two pings of an agent. Longer, the manager notices later that a worker has
 * gone; shorter, idle agents send more.
 */
export const PING_MS = 15_000;
/**
 * A worker whose socket is silent for three pings is offline. With fewer pings, one that is lost or
 * late would make a worker offline.
 */
export const OFFLINE_AFTER_MS = 3 * PING_MS;

/** What the manager pushes over a worker's socket. */
export const pushSchema = z.discriminatedUnion("type", [
  /** There may be work: ask with PATCH, status `available`. */
  z.object({ type: z.literal("work") }),
  /** These leases have ended: kill their processes. */
  z.object({ type: z.literal("cancel"), task_id: idSchema, lease_ids: arrayOf(z.string().max(100), 10_000) }),
  /** Finish what runs, and take nothing more. */
  z.object({ type: z.literal("drain") }),
  /** Give back what runs at once, and take nothing more. Agents up to 0.1 do not know it. */
  z.object({ type: z.literal("stop_now") }),
  /** Take work again. */
  z.object({ type: z.literal("enable") }),
]);
/** What the manager pushes over a worker's socket. */
export type Push = z.infer<typeof pushSchema>;
