/** What people and agents do with a farm, each written once, for every platform. */
import type { Ground } from "../ground.ts";
import { backup } from "./backup.ts";
import { download, zip } from "./download.ts";
import { manyInputs } from "./many-inputs.ts";
import { page } from "./page.ts";
import { removal } from "./removal.ts";
import { render } from "./render.ts";
import { silentWorker } from "./silent-worker.ts";
import { submit } from "./submit.ts";
import { upload } from "./upload.ts";

export const JOURNEYS = {
  submit,
  "many inputs": manyInputs,
  render,
  "silent worker": silentWorker,
  upload,
  download,
  zip,
  page,
  backup,
  removal,
} satisfies Record<string, (ground: Ground) => Promise<void>>;

export type JourneyName = keyof typeof JOURNEYS;
