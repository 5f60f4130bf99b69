/** A manager of an earlier release is not sent what it does not know, and people are told its release. */
import type { ManagerClient } from "../client/manager-client.ts";
import { isManagerSince } from "../client/manager-version.ts";
import { ANY_BLENDER, BLENDER_NEED_SINCE } from "../protocol/blender-version.ts";
import { healthSchema } from "../protocol/health.ts";
import { joinCommand, joinCommandWindows, CHECKOUT_COMMAND } from "../protocol/join-command.ts";
import { isAtLeast, VERSION } from "../protocol/version.ts";
import { CliError, EXIT } from "./failure.ts";

/** The first release whose managers serve the program and the scripts that join a machine. */
const JOIN_SCRIPT_SINCE = "0.2.0";
/** The first release whose managers list all that a backup of this command line has (format 3). */
const BACKUP_SINCE = "0.2.0";

/** Of a submission and of its settings: what managers of 0.1 do not know. */
const FIELDS_OF_0_2 = ["retention_days", "retention_after_download_days"];
const SETTINGS_OF_0_2 = ["blender", "strict", "allow_missing"];

/**
 * Put the version of Blender that saved the scene into the settings of a submission, unless they name another or
 * there is no scene. A manager of 0.1 gives tasks to any Blender, so it is not told. Throws `CliError` when the
 * submission asks for what the manager does not know, before a file is sent; `ManagerError` when it does not answer.
 */
export async function fitToManager(
  client: ManagerClient,
  submission: Readonly<Record<string, unknown>> & { settings: Record<string, unknown> },
  sceneVersion: string | undefined,
): Promise<void> {
  const { settings } = submission;
  const asked = [
    ...SETTINGS_OF_0_2.filter((name) => settings[name] !== undefined),
    ...FIELDS_OF_0_2.filter((name) => submission[name] !== undefined),
  ];
  if (sceneVersion === undefined && asked.length === 0) return;
  if (await isManagerSince(client, BLENDER_NEED_SINCE)) {
    if (sceneVersion !== undefined) settings["blender"] ??= sceneVersion;
    return;
  }
  // Any Blender is what such a manager gives.
  if (settings["blender"] === ANY_BLENDER) delete settings["blender"];
  const unknown = asked.filter((name) => settings[name] !== undefined || submission[name] !== undefined);
  if (unknown.length > 0)
    throw new CliError(
      EXIT.refused,
      `this manager is older than ${BLENDER_NEED_SINCE}: it does not know ${unknown.join(", ")}`,
      "Submit without it, or update the manager. Nothing was sent.",
    );
}

/** The lines that tell how a machine joins with this token. Does not throw: the token is made. */
export async function joinLines(client: ManagerClient, token: string): Promise<string[]> {
  const { url } = client;
  if (await isManagerSince(client, JOIN_SCRIPT_SINCE, { retryForMs: 0 }).catch(() => true))
    return [`add a machine with: ${joinCommand(url, token)}`, `on Windows:         ${joinCommandWindows(url, token)}`];
  return [
    `add a machine with, in a checkout there: TABLAO_JOIN=${token} ${CHECKOUT_COMMAND} worker --manager ${url}`,
    `this manager is older than ${JOIN_SCRIPT_SINCE}: it serves no program that a machine could join with`,
  ];
}

/** Throws `CliError` when the manager cannot be backed up by this command line, and `ManagerError`. */
export async function mustGiveBackups(client: ManagerClient, retryForMs: number): Promise<void> {
  if (await isManagerSince(client, BACKUP_SINCE, { retryForMs })) return;
  throw new CliError(
    EXIT.failed,
    `this manager is older than ${BACKUP_SINCE}: this command line cannot back it up`,
    "Back it up with the command line of its release; this one can restore that backup.",
  );
}

/** Advice after a refusal, where the manager is of an earlier release than this command line; else undefined. */
export async function olderManagerHint(client: ManagerClient): Promise<string | undefined> {
  const health = await client.call(healthSchema, "GET", "/healthz", { retryForMs: 0 }).catch(() => undefined);
  if (health === undefined || isAtLeast(health.version, VERSION)) return undefined;
  return `The manager is of release ${health.version} and this command line of ${VERSION}: it may not know what was asked of it.`;
}
