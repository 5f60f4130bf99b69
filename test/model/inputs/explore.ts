/** Breadth-first exploration of a configuration: checks every world that can be reached, each once. */
import { createHash } from "node:crypto";
import { bytesOfPieces } from "../../../src/protocol/piece-list.ts";
import type { Report } from "../explore.ts";
import { stateWith } from "./database.ts";
import { takeOver } from "./actor.ts";
import { bodyOf, hashOf, piecesOf } from "./names.ts";
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
  const present = Object.entries(inputs);
  const rows = present
    .filter(([, { marked }]) => !marked)
    .map(([name, { usedDaysAgo, asList, givenUp, deleted }]) => {
      const used_ms = START_MS - usedDaysAgo * DAY;
      const deleting_until_ms = givenUp || deleted ? START_MS - 10 * MINUTE : null;
      const pieces = asList ? piecesOf(name)! : null;
      return {
        sha256: hashOf(name),
        size: bodyOf(name).length,
        stored_ms: used_ms,
        used_ms,
        deleting_until_ms,
        whole_size: pieces && bytesOfPieces(pieces),
        pieces: pieces && JSON.stringify(pieces.map(({ sha256 }) => sha256)),
        deleted: Number(deleted ?? false),
      };
    });
  const objects = present.flatMap(([name, { asList, deleted, cameAgain, marked }]): [string, StoredObject][] => {
    const whole: Record<string, string> = asList ? { whole: String(bytesOfPieces(piecesOf(name)!)) } : {};
    const body = bodyOf(name);
    const put = (key: string, text: string, custom: Record<string, string>): [string, StoredObject] => [
      key,
      { key, body: text, custom: { ...custom, ...whole }, uploadedMs: START_MS - DAY },
    ];
    if (deleted && !cameAgain) return [];
    const object = put(`assets/${hashOf(name)}`, body, { sha256: hashOf(name) });
    const mark = { size: String(body.length), seen_ms: String(START_MS - DAY) };
    return marked ? [object, put(`unindexed/${hashOf(name)}`, "", mark)] : [object];
  });
  const marker = { key: "farm/sweeping", body: "", custom: { until_ms: String(START_MS + 18 * MINUTE) } };
  if (isDeleting) objects.push([marker.key, { ...marker, uploadedMs: START_MS - 2 * MINUTE }]);
  let world: World = {
    nowMs: START_MS,
    d1: stateWith(rows, isDeleting ? { run: 1, phase: "delete", started_ms: START_MS } : {}),
    objects: Object.fromEntries(objects),
    tasks: tasks.map((named) => ({ named, removed: false })),
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
