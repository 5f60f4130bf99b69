/** The program that this manager serves beside its page. */
import { programRecordSchema, PROGRAM_RECORD_NAME, type ProgramRecord } from "../protocol/program.ts";
import type { Env } from "../rpc/env.ts";

/** The record of the program that is served; null where none was built. */
export async function servedProgram(env: Env, origin: string): Promise<ProgramRecord | null> {
  const found = await env.ASSETS?.fetch(new Request(new URL(`/${PROGRAM_RECORD_NAME}`, origin)));
  if (found?.status !== 200) {
    await found?.body?.cancel();
    return null;
  }
  return programRecordSchema.parse(await found.json());
}
