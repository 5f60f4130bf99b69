/** What the join scripts are made from. Pure. */
import type { ProgramRecord } from "../../protocol/program.ts";

export interface JoinFacts {
  /** The manager's own address, without a slash at its end. */
  manager: string;
  program: ProgramRecord;
  /** Where Node's official archives are fetched from, without a slash at its end. */
  nodeMirror: string;
}

/** Characters that mean nothing to a shell, to PowerShell, or to HTML. Those of an address, of a version and of a hash. */
const HARMLESS = /^[\w.:/[\]+-]+$/;

/** Whether no value of the facts could end the quotes that it stands in. */
export function areHarmless({ manager, program, nodeMirror }: JoinFacts): boolean {
  return [manager, program.version, program.sha256, nodeMirror].every((value) => HARMLESS.test(value));
}
