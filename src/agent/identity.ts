/**
 * The identity of this worker: it trades a join token once for a secret of its own, and keeps that
 * in a private file.
 */
import { stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { workerRegisteredSchema, type WorkerRegister } from "../protocol/worker.ts";
import { readPrivateJson, UnreadableFile, writePrivateFile } from "../client/private-file.ts";
import { tokenFault } from "../client/secret-text.ts";
import { systemCode } from "../lib/errors.ts";
import { ManagerClient, ManagerError, type ManagerClientOptions } from "../client/manager-client.ts";

export const identitySchema = z.object({
  manager: z.string(),
  worker_id: z.int(),
  secret: z.string().refine((text) => tokenFault(text) === undefined),
  /**
   * The machine (`machineId`) of a worker that has its name. Absent: the worker has a name of its own,
   * its machine has no id, or the release was 0.1.
   */
  machine: z.string().optional(),
});
export type Identity = z.infer<typeof identitySchema>;

/** The agent cannot start or go on; the message tells the owner of the machine what to do. */
export class CannotStart extends Error {
  override name = "CannotStart";
}

/**
 * Read an identity; undefined when there is none. Throws `CannotStart` for a file that other users
 * can read, or a broken one.
 */
export async function readIdentity(file: string): Promise<Identity | undefined> {
  try {
    const { mode } = await stat(file);
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw new CannotStart(
        `${file} holds this worker's secret and others can read it: run 'chmod 600 ${file}', and register anew if someone may have`,
      );
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    // Whatever else is wrong with the path, reading the file tells it.
    if (error instanceof CannotStart) throw error;
  }
  try {
    return readPrivateJson(file, identitySchema, "it is not an identity of a worker, or its secret is broken");
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error;
    throw new CannotStart(`${error.message}. Remove it and start again with TABLAO_JOIN=TOKEN`);
  }
}

/** Write an identity. A crash leaves the old one or the new one. */
export function writeIdentity(file: string, identity: Identity): void {
  writePrivateFile(file, `${JSON.stringify(identity, null, 2)}\n`);
}

export interface Registration {
  file: string;
  manager: string | undefined;
  join: string | undefined;
  /** The id of the machine, for a worker that has its name. */
  machine?: string | undefined;
  /** The names of other workers whose files are in the same folder: for a message. */
  others?: readonly string[];
  /**
   * How to wait while another agent uses this identity: `say` tells it once. Absent: nobody waits, and
   * it is an error.
   */
  taken?: { say: (line: string) => void; retryMs: number } | undefined;
  report: WorkerRegister;
  client: Omit<ManagerClientOptions, "url" | "secret" | "auth">;
  signal: AbortSignal;
}

export interface RegisteredWorker {
  client: ManagerClient;
  workerId: number;
  /** Whether the manager did not know this worker before. */
  created: boolean;
}

/**
 * Register with the manager: as the worker that the identity names, or as a new one with the join
 * token. Throws `CannotStart` with what to do, or `ManagerError` when the manager cannot be reached
 * in time.
 */
export async function register(registration: Registration): Promise<RegisteredWorker> {
  const { file, manager, join } = registration;
  const identity = await readIdentity(file);
  // The secret is sent to the manager that made it, and to no other address.
  if (identity && (manager === undefined || manager === identity.manager)) {
    try {
      return await registerWhenFree(registration, identity);
    } catch (error) {
      if (!(error instanceof ManagerError) || (error.status !== 401 && error.status !== 404)) throw error;
      if (join === undefined) {
        throw new CannotStart(
          `the manager at ${identity.manager} does not know this worker any more (it was removed, was not seen for as long as the setting unseen_workers_days says, or the manager is a new one). Make a join token (on the page, or with 'tablao token create --role join') and start once with TABLAO_JOIN=TOKEN`,
        );
      }
    }
  } else if (identity && join === undefined) {
    throw new CannotStart(
      `this worker is registered with ${identity.manager}, not ${manager}. To serve another manager use another --name; if it is the same one under a new address, start once with TABLAO_JOIN=TOKEN`,
    );
  }
  if (join === undefined)
    throw new CannotStart(
      `this worker is not registered yet: make a join token (on the page, or with 'tablao token create --role join') and start once with TABLAO_JOIN=TOKEN${orRenamed(registration.others ?? [])}`,
    );
  if (manager === undefined && identity === undefined)
    throw new CannotStart("which manager? Give its address with --manager URL");
  return await registerWithToken(registration, manager ?? identity!.manager, join);
}

/** A machine whose name changed before its identity knew the machine is told how it goes on. */
function orRenamed(others: readonly string[]): string {
  if (others.length === 0) return "";
  const [first, ...more] = others.map((name) => `--name ${name}`);
  return `; or, if this machine was renamed, start it as the worker that it was: ${[first, ...more].join(", ")}`;
}

/** Register as the worker that the identity names, once no other agent is at work as that worker. */
async function registerWhenFree(registration: Registration, identity: Identity): Promise<RegisteredWorker> {
  const { file, taken, signal } = registration;
  for (let told = false; ; told = true) {
    try {
      return await registerKnown(registration, identity);
    } catch (error) {
      if (!(error instanceof ManagerError) || error.code !== "conflict") throw error;
      const line = `${error.detail}. If this machine or its state folder is a copy, remove ${file} here and start once with TABLAO_JOIN=TOKEN: then it is a worker of its own`;
      if (taken === undefined) throw new CannotStart(line);
      if (!told) taken.say(`${line}. Waiting until the other agent is gone`);
      await delay(taken.retryMs, undefined, { signal });
    }
  }
}

async function registerKnown(registration: Registration, identity: Identity): Promise<RegisteredWorker> {
  const client = new ManagerClient({ ...registration.client, url: identity.manager, secret: identity.secret });
  await report(client, registration);
  const { file, machine } = registration;
  if (machine !== undefined && machine !== identity.machine) writeIdentity(file, { ...identity, machine });
  return { client, workerId: identity.worker_id, created: false };
}

/**
 * Report the worker. A manager up to 0.1 does not know `versions` and `local_state`, and refuses what it does not
 * know.
 */
async function report(
  client: ManagerClient,
  { report, signal }: Registration,
): Promise<z.infer<typeof workerRegisteredSchema>> {
  try {
    return await client.call(workerRegisteredSchema, "POST", "/workers", { json: report, signal });
  } catch (refused) {
    if (!(refused instanceof ManagerError && refused.code === "invalid") || !isNew(report)) throw refused;
    const { versions: _, local_state: __, ...old } = report;
    return await client.call(workerRegisteredSchema, "POST", "/workers", { json: old, signal });
  }
}

function isNew({ versions, local_state }: WorkerRegister): boolean {
  return versions !== undefined || local_state !== undefined;
}

async function registerWithToken(registration: Registration, manager: string, join: string): Promise<RegisteredWorker> {
  const asJoiner = new ManagerClient({ ...registration.client, url: manager, secret: join, auth: "bearer" });
  let answer: z.infer<typeof workerRegisteredSchema>;
  try {
    answer = await report(asJoiner, registration);
  } catch (error) {
    if (error instanceof ManagerError && (error.status === 401 || error.status === 403)) {
      throw new CannotStart(
        `the manager at ${manager} does not take this join token (${error.detail}): it may have expired or be used up; make a new one on the page, or with 'tablao token create --role join'`,
      );
    }
    if (error instanceof ManagerError && (error.code === "foreign" || error.code === "bad_answer"))
      throw new CannotStart(`no manager answers at ${manager}: is that its address? Its answer: ${error.message}`);
    throw error;
  }
  const mine = Object.values(answer).find((worker) => worker.secret !== undefined);
  if (!mine?.secret || tokenFault(mine.secret) !== undefined)
    throw new ManagerError(
      0,
      "bad_answer",
      `the manager at ${manager} registered this worker but gave it no secret that can be used`,
    );
  const { file, machine } = registration;
  const identity = { manager, worker_id: mine.id, secret: mine.secret };
  writeIdentity(file, machine === undefined ? identity : { ...identity, machine });
  return {
    client: new ManagerClient({ ...registration.client, url: manager, secret: mine.secret }),
    workerId: mine.id,
    created: true,
  };
}
