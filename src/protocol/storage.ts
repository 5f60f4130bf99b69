/** `/storage`: what is stored, by owner and by task, and what it costs. */
import { z } from "zod";

const bytes = z.int().min(0);
const uncounted = z
  .int()
  .min(0)
  .meta({ description: "Tasks of 0.1 whose files are not counted yet: they are missing in `bytes`" });

/** What the tasks of one owner store. */
const ownerStorageSchema = z
  .object({ owner: z.string(), tasks: z.int(), bytes, uncounted_tasks: uncounted })
  .meta({ id: "OwnerStorage" });
/** What the tasks of one owner store. */
export type OwnerStorage = z.infer<typeof ownerStorageSchema>;

/** The inputs of the farm, as the index in D1 has them. */
const inputStorageSchema = z
  .object({
    files: z.int(),
    bytes,
    complete: z.boolean().meta({
      description: "False while inputs that an earlier release stored are missing in the index, and in these figures",
    }),
  })
  .meta({ id: "InputStorage" });
/** The inputs of the farm, as the index in D1 has them. */
export type InputTotals = z.infer<typeof inputStorageSchema>;

/** What a month of what is stored costs. */
const storageCostSchema = z
  .object({
    month_dollars: z.number().min(0),
    is_whole: z.boolean().meta({ description: "False while something is not counted: then it costs more" }),
    dollars_per_gb: z.number().meta({ description: "For each GB and month beyond `free_gb`" }),
    free_gb: z.int(),
    source: z.string().meta({ description: "The page that has the price" }),
    as_of: z.string().meta({ description: "The month in which the price was read" }),
  })
  .meta({ id: "StorageCost" });

/**
 * GET /storage. Not counted: uploads that are under way or were given up, files of removed tasks and
 * of requeued frames that wait to be deleted, the databases.
 */
export const storageSchema = z
  .object({
    outputs: z
      .object({ tasks: z.int(), bytes, uncounted_tasks: uncounted })
      .meta({ description: "Files of done frames, previews included" }),
    owners: z.array(ownerStorageSchema).meta({ description: "The largest first, at most 500" }),
    owners_left_out: z.int().meta({ description: "Owners beyond those" }),
    inputs: inputStorageSchema.nullable().meta({ description: "Null for artists, and while D1 does not answer" }),
    inputs_problem: z.string().nullable().meta({ description: "Why `inputs` is null" }),
    blender_builds: z
      .object({ builds: z.int(), bytes })
      .optional()
      .meta({ description: "Archives of Blender that the farm keeps for its workers; only for admins" }),
    cost: storageCostSchema
      .nullable()
      .meta({ description: "Null for artists: what is free is free for the whole farm" }),
  })
  .meta({ id: "Storage" });
/** The answer to GET /storage. */
export type Storage = z.infer<typeof storageSchema>;
