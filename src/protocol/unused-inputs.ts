/** `/storage/unused-inputs`: inputs that no task names, and their deletion. */
import { z } from "zod";
import { instantSchema } from "./fields.ts";
import { MAX_UNUSED_INPUTS_DAYS, MIN_UNUSED_INPUTS_DAYS } from "./setting-rules.ts";

const daysSchema = z.int().min(MIN_UNUSED_INPUTS_DAYS).max(MAX_UNUSED_INPUTS_DAYS);

const sumSchema = z.object({
  inputs: z.int().min(0),
  bytes: z.int().min(0),
});

/** POST /storage/unused-inputs. */
export const pruneInputsSchema = z
  .strictObject({
    dry_run: z.boolean().default(false).meta({
      description: "Only ask the tasks, so that `unused` is exact; delete nothing",
    }),
    days: daysSchema.optional().meta({
      description: "Inputs that nothing has used for so many days; the setting `unused_inputs_days` by default",
    }),
  })
  .meta({ id: "PruneInputs" });

/** The answer of both. */
export const unusedInputsSchema = z
  .object({
    days: daysSchema.nullable().meta({ description: "Inputs unused for so many days are meant; null: none are" }),
    unused: sumSchema.meta({
      description:
        "Inputs that nothing has used for so long. Those that a task names are among them until it was asked",
    }),
    exact: z.boolean().meta({ description: "All tasks were asked: `unused` is what would be deleted" }),
    phase: z.enum(["idle", "mark", "delete"]).meta({
      description: "What the run does: `mark` asks the tasks what they use, `delete` deletes; `idle`: there is none",
    }),
    asked_task: z.int().min(0).meta({ description: "Tasks up to this id were asked by the run; 0: none" }),
    deleted: sumSchema.meta({ description: "POST: what this call has deleted" }),
    run_deleted: sumSchema.meta({ description: "What the run has deleted, or the last one did" }),
    ended_ms: instantSchema.nullable().meta({ description: "When the last run ended" }),
    deletes_after_ms: instantSchema.meta({ description: "Nothing is deleted before" }),
    done: z.boolean().meta({ description: "POST: nothing is left to do now. GET: no run is under way" }),
    wait_ms: z.int().min(0).meta({ description: "POST: call again so much later, where `done` is false" }),
    held: z.string().nullable().meta({ description: "POST: why nothing is done; null when it is" }),
  })
  .meta({ id: "UnusedInputs" });

export type UnusedInputs = z.output<typeof unusedInputsSchema>;
