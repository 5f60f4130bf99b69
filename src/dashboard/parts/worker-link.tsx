/** A worker's name, which leads to it wherever one may look at workers: not through a share link. */
import { workerName } from "../lib/farm.ts";
import { session } from "../lib/session.ts";

export function WorkerLink({ id }: { id: number }) {
  const name = workerName(id);
  return session.value?.role === "share" ? <span>{name}</span> : <a href={`/app/workers/${id}`}>{name}</a>;
}
