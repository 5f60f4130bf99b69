/**
 * The bytes of R2 under `npm start` reach the disk before their row does. The runtime writes them to a file
 * and answers without a sync, while SQLite syncs the row that names them: after a power cut a finished frame
 * would be there with no bytes, or some. A Worker in front of the folder asks this process to sync what was
 * written before it answers (docs/decisions/028-power-cuts.md).
 */
import http from "node:http";
import path from "node:path";
import { R2_PLUGIN, type Service } from "miniflare";
import { syncFile, syncFolder } from "../client/disk-sync.ts";
import { messageOf } from "../lib/errors.ts";

/** Names that Miniflare gives: of the service of R2's objects, of their folder, and of its binding. */
const OBJECTS = "r2:bucket";
const FOLDER = "r2:storage";
const BLOBS_BINDING = "MINIFLARE_BLOBS";

const GATE = "tablao:blobs";
const SYNC = "tablao:sync";

/** Stands between R2's objects and their folder. A rejection makes Miniflare refuse the write. */
const GATE_SCRIPT = `export default {
  async fetch(request, env) {
    const { method, url } = request;
    const response = await env.FOLDER.fetch(request);
    if (method !== "PUT") return response;
    if (!response.ok) throw new Error("a file could not be written: " + response.status);
    const synced = await env.SYNC.fetch(url, { method: "POST" });
    if (!synced.ok) throw new Error("a file could not be written to the disk: " + (await synced.text()));
    return response;
  },
};`;

/** A blob's path in the folder: the bucket, `blobs`, and the blob's random name. */
const BLOB = /^\/([\w-]+)\/blobs\/([0-9a-f]+)$/;

let address: string | undefined;
let folder: string | undefined;

/**
 * From now on, bytes that Miniflare stores for R2 are synced by this process. `socket`: a path in a folder
 * that only its owner can enter, where this process listens. Call it before Miniflare starts.
 */
export async function syncBlobs(socket: string): Promise<void> {
  if (address !== undefined) return;
  const server = http.createServer((request, response) => {
    const found = BLOB.exec(request.url ?? "");
    if (request.method !== "POST" || !found || folder === undefined) {
      response.writeHead(404).end();
      return;
    }
    syncBlob(folder, [found[1]!, "blobs", found[2]!]).then(
      () => response.writeHead(204).end(),
      (error: unknown) => response.writeHead(500).end(messageOf(error)),
    );
  });
  // The manager's process lives as long as it serves, not as long as this does.
  server.unref();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(socket, resolve));
  address = `unix:${socket}`;
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its object below
  const services = R2_PLUGIN.getServices;
  R2_PLUGIN.getServices = async function getServices(options) {
    const found = await services.call(this, options);
    return Array.isArray(found) ? withGate(found) : found;
  };
}

/** The services of R2 with the gate in front of the folder. Throws when they are not as they were known. */
function withGate(services: Service[]): Service[] {
  const objects = services.find(({ name }) => name === OBJECTS);
  // A Worker without a bucket has none.
  if (!objects) return services;
  const storage = services.find(({ name }) => name === FOLDER);
  const bindings = "worker" in objects ? objects.worker?.bindings : undefined;
  const binding = bindings?.find(({ name }) => name === BLOBS_BINDING);
  const disk = storage && "disk" in storage ? storage.disk?.path : undefined;
  if (!binding || !("service" in binding) || disk === undefined)
    throw new Error("this Miniflare keeps R2 in another way: see src/launcher/synced-blobs.ts");
  folder = disk;
  binding.service = { name: GATE };
  const gate: Service = {
    name: GATE,
    worker: {
      compatibilityDate: "2026-01-01",
      modules: [{ name: "gate.js", esModule: GATE_SCRIPT }],
      bindings: [
        { name: "FOLDER", service: { name: FOLDER } },
        { name: "SYNC", service: { name: SYNC } },
      ],
    },
  };
  return [...services, gate, { name: SYNC, external: { address: address!, http: {} } }];
}

/** Folders whose own names are on the disk. */
const known = new Set<string>();

/** Wait until the bytes of a file and its name are on the disk; `parts`: its path under the folder `root`. */
async function syncBlob(root: string, parts: string[]): Promise<void> {
  const file = path.join(root, ...parts);
  await syncFile(file);
  for (let at = path.dirname(file); ; at = path.dirname(at)) {
    await syncFolder(at);
    if (at === root || known.has(at)) return;
    known.add(at);
  }
}
