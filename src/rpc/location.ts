/**
 * Where the objects are created: by default near whoever calls them first, which may be the person
 * who set the farm up and no worker. An object never moves, and the hint counts only when it is
 * created.
 */
import type { Env } from "./env.ts";

/** https://developers.cloudflare.com/durable-objects/reference/data-location/ */
const LOCATIONS = [
  "wnam",
  "enam",
  "sam",
  "weur",
  "eeur",
  "apac",
  "apac-ne",
  "apac-se",
  "oc",
  "afr",
  "me",
] as const satisfies readonly DurableObjectLocationHint[];

type Located = Pick<Env, "TABLAO_LOCATION">;

const ANYWHERE: DurableObjectNamespaceGetDurableObjectOptions = {};

/** The options of a stub: the hint of the deployment, or none. */
export function placement({ TABLAO_LOCATION: wanted }: Located): DurableObjectNamespaceGetDurableObjectOptions {
  const locationHint = wanted && LOCATIONS.find((location) => location === wanted);
  return locationHint ? { locationHint } : ANYWHERE;
}

/** What is wrong with `TABLAO_LOCATION`, for people; null when nothing is. */
export function wrongLocation({ TABLAO_LOCATION: wanted }: Located): string | null {
  if (!wanted || LOCATIONS.some((location) => location === wanted)) return null;
  return `TABLAO_LOCATION is "${wanted.slice(0, 40)}", and must be one of ${LOCATIONS.join(", ")}.`;
}
