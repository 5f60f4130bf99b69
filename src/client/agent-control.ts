/**
 * Orders to the agents of this user on this machine: each agent listens on a port of the loopback address, and
 * writes the port with a secret into a private file of its state folder. Who can read that file can give orders.
 * One way for all systems: Unix sockets have paths that are too short for some state folders, and Windows has none.
 */
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { homedir, hostname } from "node:os";
import path from "node:path";
import { z } from "zod";
import { messageOf } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { agentStatusSchema, type AgentStatus } from "./agent-status.ts";
import { readPrivateJson } from "./private-file.ts";

/** What an agent can be asked for. */
export const ORDERS = ["status", "pause", "resume", "drain"] as const;
/** What an agent can be asked for. */
export type AgentOrder = (typeof ORDERS)[number];

/** The ending of the file beside the identity of a worker that says how to reach its agent. */
export const CONTROL_ENDING = ".control";

/** What stands in that file. */
const controlRecordSchema = z.object({
  port: z.int().min(1).max(65_535),
  secret: z.string().min(32),
  pid: z.int(),
  /** The machine: a state folder may be on a network drive, and the port is one of that machine. */
  host: z.string(),
});

/** An order, as one line of JSON. */
export const orderSchema = z.strictObject({ secret: z.string().max(200), order: z.enum(ORDERS) });

/** Its answer, as one line of JSON: how the agent is after it, or why it was not carried out. */
const orderAnswerSchema = z.union([z.object({ status: agentStatusSchema }), z.object({ refused: z.string() })]);

/** The most bytes of an answer: a status with 64 leases has some ten thousand. */
const MAX_ANSWER = 256 * 1024;
/** An agent answers at once, unless its machine is busy swapping. */
const ANSWER_MS = 10_000;

/** Why an order was not carried out. `gone`: no agent listens. */
export interface NotObeyed {
  gone: boolean;
  why: string;
}

/** Where agents keep their files, unless `--state-dir` says otherwise. */
export function defaultStateDir(): string {
  return path.join(homedir(), ".tablao", "workers");
}

/** The workers that have files in a state folder: their keys, and the files by which their agents are reached. */
export function agentsIn(stateDir: string): { key: string; file: string }[] {
  let names: string[];
  try {
    names = readdirSync(stateDir);
  } catch {
    return [];
  }
  const keys = names
    .filter((name) => name.endsWith(".json") || name.endsWith(CONTROL_ENDING))
    .map((name) => name.slice(0, name.lastIndexOf(".")));
  return [...new Set(keys)].toSorted().map((key) => ({ key, file: path.join(stateDir, `${key}${CONTROL_ENDING}`) }));
}

/** Give an order to the agent of this file. Throws `UnreadableFile` for a file that cannot be read. */
export async function orderAgent(file: string, order: AgentOrder): Promise<Result<AgentStatus, NotObeyed>> {
  const record = readPrivateJson(file, controlRecordSchema, "it does not say how to reach an agent");
  if (!record) return err({ gone: true, why: "not running here" });
  if (record.host !== hostname())
    return err({ gone: true, why: `not running here: it was last started on ${record.host}` });
  const text = await exchange(record.port, `${JSON.stringify({ secret: record.secret, order })}\n`);
  // An agent that was killed leaves its file.
  if (!text.ok) return err({ gone: true, why: `not running here (${text.error})` });
  let answer: z.infer<typeof orderAnswerSchema>;
  try {
    answer = orderAnswerSchema.parse(JSON.parse(text.value));
  } catch {
    return err({ gone: true, why: "not running here: another program answers where its agent did" });
  }
  return "status" in answer ? ok(answer.status) : err({ gone: false, why: answer.refused });
}

/** Send a text, and read what comes back until the other side ends. Never rejects. */
async function exchange(port: number, text: string): Promise<Result<string, string>> {
  return await new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const socket = connect({ port, host: "127.0.0.1" });
    const give = (result: Result<string, string>): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => give(err("it does not answer")), ANSWER_MS);
    socket.on("connect", () => socket.write(text));
    socket.on("data", (chunk) => {
      length += chunk.length;
      if (length > MAX_ANSWER) give(err("its answer is too long"));
      else chunks.push(chunk);
    });
    socket.on("end", () => give(ok(Buffer.concat(chunks).toString("utf8"))));
    socket.on("error", (error) => give(err(messageOf(error))));
  });
}
