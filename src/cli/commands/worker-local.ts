/**
 * `tablao worker status|pause|resume|drain`: orders to the agents of this user on this machine, without a token of
 * the manager.
 */
import type { Command } from "commander";
import { agentsIn, defaultStateDir, orderAgent, type AgentOrder } from "../../client/agent-control.ts";
import { agentName, statusLine, type AgentStatus } from "../../client/agent-status.ts";
import { flagsOf, outputFor, type Output } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { COMMAND } from "../own-command.ts";
import { reportText, type ServiceReport } from "../service/install.ts";
import { serviceReports } from "./worker-service.ts";

const ORDERS: Record<AgentOrder, [summary: string, description: string]> = {
  status: [
    "say how the agents on this machine are",
    "Say how the agents on this machine are, a line for each: what they render, whether they are connected, paused or drained. Before that, whether there is a service that starts one, and where its log is. Ends with 3 when no agent runs.",
  ],
  pause: [
    "take no more work on this machine",
    "Take no more work on this machine until it is resumed: the frame that is being rendered is finished, the rest of its lease goes to other workers. A pause holds over restarts of the agent and of the machine.",
  ],
  resume: ["take work again on this machine", "Take work again on this machine after a pause."],
  drain: [
    "finish what runs on this machine, and end",
    "Finish the frame that is being rendered, give the rest of its lease back, and end the agent, as the first Ctrl-C. The next start takes work again.",
  ],
};

/** One worker of this machine; `status` is null when its agent does not run. */
interface LocalAgent {
  key: string;
  status: AgentStatus | null;
  /** Why the order was not carried out. Absent: it was. */
  why?: string;
}

/** Add the commands to `tablao worker`. */
export function addWorkerLocal(worker: Command): void {
  for (const [order, [summary, description]] of Object.entries(ORDERS) as [AgentOrder, [string, string]][])
    worker
      .command(order)
      .summary(summary)
      .description(`${description} For the agents of this user.`)
      .option("--name <text>", "the worker of this name only")
      .option("--state-dir <dir>", "where the agents keep their files (~/.tablao/workers)")
      .action(async (_: unknown, command: Command) => {
        const flags = flagsOf<{ name?: string; stateDir?: string }>(command);
        const agents = await orderAll(flags.stateDir ?? defaultStateDir(), flags.name, order);
        tell(outputFor(flags), order, agents, order === "status" ? serviceReports(flags) : null);
      });
}

/** Give the order to the agents of this folder, one after the other. */
async function orderAll(stateDir: string, name: string | undefined, order: AgentOrder): Promise<LocalAgent[]> {
  const agents: LocalAgent[] = [];
  for (const { key, file } of agentsIn(stateDir)) {
    // Only the agent itself knows its name; its files may have another one.
    const before = await orderAgent(file, "status");
    const found = before.ok ? before.value : null;
    if (name !== undefined && name !== (found?.name ?? key)) continue;
    const answer = found === null || order === "status" ? before : await orderAgent(file, order);
    if (answer.ok) agents.push({ key, status: answer.value });
    else agents.push({ key, status: answer.error.gone ? null : found, why: answer.error.why });
  }
  return agents;
}

/** Write what each agent said. Throws `CliError` when none runs, or one did not carry the order out. */
function tell(
  out: Output,
  order: AgentOrder,
  agents: readonly LocalAgent[],
  services: readonly ServiceReport[] | null,
): void {
  const running = agents.filter(({ status }) => status !== null);
  for (const service of services ?? []) if (!out.json) out.line(reportText(service));
  if (out.json)
    out.value({
      agents: agents.map(({ key, status, why }) => ({
        ...status,
        name: status?.name ?? key,
        running: status !== null,
        ...(why !== undefined && status !== null && { error: why }),
      })),
      ...(services && { services }),
    });
  else
    for (const { key, status, why } of order === "status" ? agents : running) {
      const text = status === null ? `${key}: ${why}` : `${agentName(status)}: ${why ?? statusLine(status)}`;
      out.line(text);
    }
  if (running.length === 0)
    throw new CliError(EXIT.notFound, "no agent of this user runs here", `Start one with: ${COMMAND} worker`);
  if (running.some(({ why }) => why !== undefined)) throw new CliError(EXIT.failed, `not every agent could ${order}`);
}
