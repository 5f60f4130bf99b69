/** GET /healthz: that the manager is there, and its version. */
import { z } from "zod";

/** The answer, without a credential. */
export const healthSchema = z.object({ status: z.literal("ok"), version: z.string() }).meta({ id: "Health" });
