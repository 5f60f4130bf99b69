/** Query parameters. `readQuery` turns their text into what these schemas want, so an integer is written as an integer. */
import { z } from "zod";
import { framesSchema } from "../protocol/fields.ts";
import { FRAME_STATES, TASK_STATUSES } from "../protocol/task.ts";

const cursor = z.string().min(1).max(500).optional().meta({ description: "`cursor` of the page before" });

function limit(fallback: number, max: number) {
  return z
    .int()
    .min(1)
    .max(max)
    .default(fallback)
    .meta({ description: `Entries on a page, ${fallback} by default` });
}

/** For every route that says nothing of a query. */
export const noQuery = z.strictObject({});

export const taskListQuery = z.strictObject({
  status: z.enum(TASK_STATUSES).optional(),
  type: z.string().min(1).max(64).optional().meta({ description: "Canonical type" }),
  owner: z.string().min(1).max(200).optional().meta({ description: "`admin`, or `name#id`" }),
  limit: limit(50, 500),
  cursor,
});

const anyState = `(${FRAME_STATES.join("|")})`;
const states = z
  .string()
  .max(100)
  .regex(
    new RegExp(`^${anyState}(,${anyState})*$`),
    `must be one or more of ${FRAME_STATES.join(", ")}, comma-separated`,
  )
  .transform((text) => text.split(","))
  .pipe(z.array(z.enum(FRAME_STATES)))
  .meta({ description: `One or more, comma-separated: ${FRAME_STATES.join(", ")}` });

export const frameListQuery = z.strictObject({
  state: states.optional(),
  frames: framesSchema.optional(),
  limit: limit(100, 1_000),
  cursor,
});

export const timingsQuery = z.strictObject({ frames: framesSchema.optional(), limit: limit(10_000, 10_000), cursor });

export const previewQuery = z.strictObject({
  a: z
    .int()
    .min(1)
    .optional()
    .meta({ description: "The frame's attempt: the address then names these very bytes for ever" }),
});

export const logQuery = z
  .strictObject({
    after: z.int().min(0).optional().meta({ description: "`next` of the page before" }),
    tail: z.int().min(1).max(10_000).optional().meta({ description: "The last N entries instead" }),
    limit: limit(1_000, 10_000),
  })
  .refine((query) => query.after === undefined || query.tail === undefined, {
    path: ["tail"],
    message: "does not go with `after`",
  });

export const settingsQuery = z.strictObject({
  group: z.literal("render").optional().meta({ description: "`render`: the names of the render presets" }),
});
