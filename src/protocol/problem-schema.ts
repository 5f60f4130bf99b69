/** The schema of a problem document, for OpenAPI and for answers that contain several of them. */
import { z } from "zod";
import type { Problem } from "./problem.ts";

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem document" }) satisfies z.ZodType<Problem>;
