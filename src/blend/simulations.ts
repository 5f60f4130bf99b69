/** Which simulations of a file can change a picture. */
import type { Survey } from "./facts.ts";
import type { SimulationSummary } from "./types.ts";

/** `ParticleSettings.type` */
const HAIR = 2;

/** The simulations of the file that can change a picture. */
export function simulationsOf(survey: Survey, used: ReadonlySet<number>): SimulationSummary[] {
  return survey.blocks.flatMap((block) =>
    block.simulations.flatMap(({ particles, hairDynamics, nodeGroup, ...fact }): SimulationSummary[] => {
      let { kind } = fact;
      const settings = particles === undefined ? undefined : survey.blocks[particles];
      if (settings?.type === HAIR) {
        if (!hairDynamics) return [];
        kind = "hair";
      }
      if (nodeGroup !== undefined && !simulates(survey, nodeGroup)) return [];
      return [{ ...fact, kind, owner: block.name, used: used.has(block.number) }];
    }),
  );
}

/** The node group, or one in it, has a simulation zone. */
function simulates(survey: Survey, group: number): boolean {
  return [...nodeGroups(survey, group)].some((number) => survey.blocks[number]!.nodes.simulates);
}

/** The node trees of a data-block, and all groups in them. */
export function nodeGroups(survey: Survey, start: number): Set<number> {
  const groups = new Set([start]);
  for (const number of groups) {
    for (const next of survey.blocks[number]!.uses) if (survey.blocks[next]!.code === "NT") groups.add(next);
  }
  return groups;
}
