/** The rules of settings: the names that the manager knows, their defaults, and presets. Pure. */
import { PRESET_PREFIX } from "./constants.ts";
import type { Result } from "../lib/result.ts";
import type { FieldError, Refusal } from "./problem.ts";
import { areWebhookHosts, WEBHOOK_HOSTS, WEBHOOK_HOSTS_RULE } from "./webhook-target.ts";
import { FOREVER, isRetentionDays, RETENTION_RULE, RETENTION_SETTINGS } from "./retention.ts";

/**
 * For how many days events are kept when nobody says otherwise: the D1 of a paid plan (10 GB) then
 * holds 240 workers at work all day, and that of the free plan (500 MB) the ten that it can serve.
 */
const HISTORY_DAYS = 90;
/**
 * Events that reach D1 after their day was deleted are lost, so days are kept for longer than D1 is
 * ever away.
 */
const MIN_HISTORY_DAYS = 7;
const MAX_HISTORY_DAYS = 36_500;
/** For how many days inputs are kept that no task names. A scene is often rendered again after weeks. */
const UNUSED_INPUTS_DAYS = 30;
/**
 * That an input is used is noted once a day, and a submission is checked before its task exists. With
 * fewer days than these a sweep could take what was just asked about (decision 021).
 */
export const MIN_UNUSED_INPUTS_DAYS = 7;
export const MAX_UNUSED_INPUTS_DAYS = 36_500;

/** Workers that were not seen for so many days are removed. A machine may be off for a season. */
const UNSEEN_WORKERS_DAYS = 90;
/** A worker that is off over a holiday must not need a join token. */
const MIN_UNSEEN_WORKERS_DAYS = 7;
const MAX_UNSEEN_WORKERS_DAYS = 36_500;
/** The name of that setting. */
export const UNSEEN_WORKERS = "unseen_workers_days";

/** The name of the setting of self-updates: staged, or off. */
export const AGENT_UPDATES = "agent_updates";
const AGENT_UPDATES_VALUES: readonly unknown[] = ["staged", "off"];
/** The name of the setting with the address from which the join scripts fetch Node. */
export const NODE_MIRROR = "node_mirror";
const MAX_MIRROR_CHARS = 500;

/**
 * The values of known names that are not set. `lease_s` is in seconds. `history_days`: for how many
 * days single events are kept, or `forever`; totals are always kept. The two of retention: after how
 * many days tasks that have ended are deleted (`retention.ts`). `unused_inputs_days`: inputs that no
 * task names are deleted when nothing has used them for so many days, or `forever`; `unseen_workers_days` the same of workers. `webhook_hosts`: private hosts to
 * which webhooks may point, none by default. `node_mirror`: where machines that join fetch Node. `agent_updates`: whether
 * installed workers renew themselves with the program that the manager serves. The paths are settings of
 * the 2015 protocol; an empty path means that each worker uses the path that it found itself.
 * Without a name here, `GET /settings` of a new farm does not list it.
 */
export const DEFAULTS: Readonly<Record<string, unknown>> = {
  lease_s: 60,
  history_days: HISTORY_DAYS,
  retention_days: FOREVER,
  retention_after_download_days: FOREVER,
  unused_inputs_days: UNUSED_INPUTS_DAYS,
  [UNSEEN_WORKERS]: UNSEEN_WORKERS_DAYS,
  webhook_hosts: [],
  [NODE_MIRROR]: "https://nodejs.org/dist",
  [AGENT_UPDATES]: "staged",
  blender_path_linux: "",
  blender_path_win: "",
  blender_path_osx: "",
};

interface Limits {
  min: number;
  max: number;
}

/** Settings that are days, or `forever`. */
const DAYS: Readonly<Record<string, Limits>> = {
  history_days: { min: MIN_HISTORY_DAYS, max: MAX_HISTORY_DAYS },
  unused_inputs_days: { min: MIN_UNUSED_INPUTS_DAYS, max: MAX_UNUSED_INPUTS_DAYS },
  [UNSEEN_WORKERS]: { min: MIN_UNSEEN_WORKERS_DAYS, max: MAX_UNSEEN_WORKERS_DAYS },
};

/**
 * The rules that a value breaks, as field errors whose fields start with the setting's name. Null
 * breaks none: it deletes the setting. `checkPreset` checks the content of a preset, and names
 * fields that start with `value`.
 */
export function checkSetting(
  name: string,
  value: unknown,
  checkPreset: (value: unknown) => Result<unknown, Refusal>,
): FieldError[] {
  if (value === null) return [];
  if (name.startsWith(PRESET_PREFIX)) {
    if (name === PRESET_PREFIX) return [{ field: name, message: `needs a preset's name after '${PRESET_PREFIX}'` }];
    const checked = checkPreset(value);
    if (checked.ok) return [];
    const errors = checked.error.errors ?? [{ field: "value", message: checked.error.detail }];
    return errors.map(({ field, message }) => ({ field: field.replace(/^value/, name), message }));
  }
  if (name === "lease_s" && !(Number.isInteger(value) && (value as number) >= 5 && (value as number) <= 86_400)) {
    return [{ field: name, message: "must be a whole number of seconds from 5 to 86400" }];
  }
  const days = DAYS[name];
  if (days && value !== FOREVER && !isDays(value, days)) {
    const rule = `a whole number of days from ${days.min} to ${days.max}`;
    return [{ field: name, message: `must be ${rule}, or "${FOREVER}"` }];
  }
  if (RETENTION_SETTINGS.some((setting) => setting === name) && !isRetentionDays(value))
    return [{ field: name, message: RETENTION_RULE }];
  if (name === WEBHOOK_HOSTS && !areWebhookHosts(value)) return [{ field: name, message: WEBHOOK_HOSTS_RULE }];
  if (name === AGENT_UPDATES && !AGENT_UPDATES_VALUES.includes(value))
    return [{ field: name, message: 'must be "staged" or "off"' }];
  if (name === NODE_MIRROR && !isMirror(value)) {
    const rule =
      "must be an address such as https://nodejs.org/dist: http or https, without a slash at its end, a query or a name";
    return [{ field: name, message: rule }];
  }
  if (name.startsWith("blender_path_") && Object.hasOwn(DEFAULTS, name) && typeof value !== "string") {
    return [{ field: name, message: "must be a text" }];
  }
  return [];
}

/** Whether scripts can take it as it is: it has no character that means something to a shell. */
function isMirror(value: unknown): boolean {
  return (
    typeof value === "string" &&
    value.length <= MAX_MIRROR_CHARS &&
    /^https?:\/\/[\w.:[\]-]+(\/[\w.+-]+)*$/.test(value) &&
    URL.canParse(value)
  );
}

/**
 * For how many days events are kept, by the value of `history_days`; null: for ever. A value that
 * breaks the rule deletes nothing.
 */
export function keepDaysOf(value: unknown): number | null {
  return isDays(value, DAYS["history_days"]!) ? value : null;
}

/** The same of unused inputs, by the value of `unused_inputs_days`. */
export function unusedInputsDaysOf(value: unknown): number | null {
  return isDays(value, DAYS["unused_inputs_days"]!) ? value : null;
}

/** The same of workers that are not seen any more, by the value of `unseen_workers_days`. */
export function unseenWorkersDaysOf(value: unknown): number | null {
  return isDays(value, DAYS[UNSEEN_WORKERS]!) ? value : null;
}

function isDays(value: unknown, { min, max }: Limits): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}
