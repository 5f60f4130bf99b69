/**
 * What the launcher asks of a local manager (`npm start`), and the headers by which the Worker knows
 * it (decision 024).
 */
import { z } from "zod";
import { arrayOf } from "./bounded.ts";

/** The most statements or steps: D1's schema has some ten. */
const MAX_STEPS = 1_000;

/**
 * The header that the launcher's socket adds to each request. Without its secret the Worker would
 * also answer what comes in by another socket of the runtime.
 */
export const LOCAL_GATE_HEADER = "Tablao-Local-Gate-Secret";

/** The header with the secret of the launcher's own requests, which no client knows. */
export const LOCAL_CONTROL_HEADER = "Tablao-Local-Control-Secret";

const migrationSchema = z.object({
  /** The file's name, under which wrangler notes that it is applied. */
  name: z.string().max(255),
  statements: arrayOf(z.string().max(1_000_000), MAX_STEPS),
});
/** A step of D1's schema. */
export type Migration = z.infer<typeof migrationSchema>;

/** Run a cron trigger, or bring D1's schema up to date. */
export const localOrderSchema = z.union([
  z.object({ cron: z.string().max(100) }),
  z.object({ migrations: arrayOf(migrationSchema, MAX_STEPS) }),
]);
export type LocalOrder = z.infer<typeof localOrderSchema>;

/** The names of the migrations that were applied; none for a trigger. */
export const localAnswerSchema = z.object({ applied: arrayOf(z.string().max(255), MAX_STEPS) });
