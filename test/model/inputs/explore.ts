/** Breadth-first exploration of a configuration: checks every world that can be reached, each once. */
import { createHash } from "node:crypto";
import type { Report } from "../explore.ts";
import { stateWith } from "./database.ts";
import { takeOver } from "./actor.ts";
import {
  begin,
  Broken,
  check,
  checkEnd,
  DAY,
  MINUTE,
  moves,
  START_MS,
  type Configuration,
  type StoredObject,
  type World,
} from "./world.ts";

const digest = (text: string): string => createHash("sha1").update(text).digest("base64");

async function firstWorld(configuration: Configuration): Promise<World> {
  const { inputs, tasks, submitters, sweeps, removals, crashes, faults, slow, steps, isDeleting } = configuration;
  const rows = Object.entries(inputs).map(([sha256, { usedDaysAgo, pieces, givenUp }]) => {
    const used_ms = START_MS - usedDaysAgo * DAY;
    const deleting_until_ms = givenUp ? START_MS - 10 * MINUTE : null;
    const of = pieces ? JSON.stringify(pieces) : null;
    return { sha256, size: 1, stored_ms: used_ms, used_ms, deleting_until_ms, pieces: of, deleted: 0 };
  });
  const objects = Object.keys(inputs).map((input): [string, StoredObject] => {
    const key = `assets/${input}`;
    return [key, { key, body: "1", custom: { sha256: input }, uploadedMs: 0 }];
  });
  const marker = { key: "farm/sweeping", body: "", custom: { until_ms: String(START_MS + 18 * MINUTE) } };
  if (isDeleting) objects.push([marker.key, { ...marker, uploadedMs: START_MS - 2 * MINUTE }]);
  let world: World = {
    nowMs: START_MS,
    d1: stateWith(rows, isDeleting ? { run: 1, phase: "delete", started_ms: START_MS } : {}),
    objects: Object.fromEntries(objects),
    tasks: tasks.map((named) => ({ inputs: named, removed: false })),
    running: [],
    orphans: [],
    promised: {},
    left: { sweeps, removals, crashes, faults, slow, steps },
  };
  for (const [i, named] of submitters.entries()) world = await begin(world, "submitter", i + 1, named);
  return world;
}

/** Explore until nothing new is found, or something is broken. */
export async function explore(configuration: Configuration): Promise<Report> {
  takeOver();
  const beganMs = performance.now();
  const first = await firstWorld(configuration);
  const seen = new Set([textOf(first)]);
  const ends = new Set<string>();
  const parents = [-1];
  const labels = ["the farm is as it is"];
  let level = [{ world: first, index: 0 }];
  let transitions = 0;
  let depth = 0;
  let broken: Report["broken"] = null;
  search: while (level.length > 0) {
    const following: typeof level = [];
    for (const { world, index } of level) {
      try {
        check(world);
        const end = digest(JSON.stringify([world.d1.id, world.objects, world.tasks, world.nowMs]));
        if (!ends.has(end)) await checkEnd(world);
        ends.add(end);
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        const trace: string[] = [];
        for (let at = index; at >= 0; at = parents[at]!) trace.unshift(labels[at]!);
        broken = { promise: "P14", message: error.message, trace };
        break search;
      }
      for (const [label, after] of await moves(world, configuration)) {
        transitions++;
        const text = textOf(after);
        if (seen.has(text)) continue;
        seen.add(text);
        labels.push(label);
        parents.push(index);
        following.push({ world: after, index: labels.length - 1 });
      }
    }
    level = following;
    if (level.length > 0) depth++;
  }
  const seconds = (performance.now() - beganMs) / 1_000;
  return {
    configuration: configuration.name,
    states: seen.size,
    // Here: of rows, objects and tasks.
    ledgers: ends.size,
    transitions,
    depth,
    seconds,
    complete: broken === null,
    broken,
  };
}

/** Worlds with the same text go on alike. The order in which actors began does not matter. */
function textOf({ nowMs, d1, objects, tasks, running, orphans, promised, left }: World): string {
  const actors = running
    .map(({ actor, beganMs, answer }) => `${actor.id}@${beganMs}${JSON.stringify(answer) ?? ""}`)
    .toSorted();
  const stored = Object.values(objects).map((object) => JSON.stringify(object));
  const calls = orphans.map(({ effectId, beganMs }) => `${effectId}@${beganMs}`);
  return digest(JSON.stringify([nowMs, d1.id, stored.toSorted(), tasks, actors, calls, promised, left]));
}
