/**
 * A worker's name as a link to its view. Viewers with a share link may not see workers and get the
 * name only.
 */
import { workerName } from "../lib/farm.ts";
import { session } from "../lib/session.ts";

export function WorkerLink({ id }: { id: number }) {
  const name = workerName(id);
  return session.value?.role === "share" ? <span>{name}</span> : <a href={`/app/workers/${id}`}>{name}</a>;
}
