/** `tablao token create|list|revoke`. */
import { Option, type Command } from "commander";
import { z } from "zod";
import { ROLES, tokenCreatedSchema, tokenListSchema } from "../../protocol/token.ts";
import { flagsOf, collect, idArgument, contextOf, span, whole } from "../command-line.ts";
import { CliError, EXIT } from "../failure.ts";
import { joinLines } from "../older-manager.ts";
import { ago, instant, table } from "../text.ts";
import { COMMAND } from "../own-command.ts";

interface CreateFlags {
  role?: string;
  name?: string;
  expires?: number;
  uses?: number;
  tags?: string[];
}

/** Add the commands to the program. */
export function addTokens(program: Command): void {
  const token = program
    .command("token")
    .summary("make, list and revoke tokens")
    .description("Make, list and revoke tokens (admins only).");
  token
    .command("create")
    .description("Make a token. Its secret is shown this once.")
    .addArgument(program.createArgument("[role]", "what it is for").choices(ROLES))
    .addOption(new Option("--role <role>", "the same, as an option").choices(ROLES))
    .option("--name <text>", "who or what it is for; by default the role")
    .option("--expires <time>", "12h, 30d … (join tokens: one day; others: never)", span)
    .option("--uses <n>", "join only: how many workers it can register", whole(1, 1_000_000))
    .addOption(new Option("--tags <a,b>", "join only: tags its workers get").argParser(collect(String)))
    .action(async (given: string | undefined, _: unknown, command: Command) => {
      const flags = flagsOf<CreateFlags>(command);
      const role = given ?? flags.role;
      if (role === undefined || (flags.role !== undefined && flags.role !== role)) {
        throw new CliError(
          EXIT.usage,
          "say which role the token is for",
          `For example: ${COMMAND} token create --role join`,
        );
      }
      const { name = role, expires, uses, tags } = flags;
      const { client, out } = contextOf(command);
      const json = { role, name, expires_s: expires, uses, tags };
      const created = await client.call(tokenCreatedSchema, "POST", "/tokens", { json });
      if (out.json) return out.value(created);
      out.line(created.token);
      const until = created.expires_ms === null ? "until it is revoked" : `until ${instant(created.expires_ms)} UTC`;
      out.note(`token ${created.id} (${role}) works ${until}; it is shown this once`);
      if (role !== "join") return;
      for (const line of await joinLines(client, created.token)) out.note(line);
    });
  token
    .command("list")
    .description("List tokens, without their secrets.")
    .action(async (_: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const { tokens } = await client.call(tokenListSchema, "GET", "/tokens");
      if (out.json) return out.value(tokens);
      const now = client.nowMs();
      const rows = tokens.map((each) => [
        String(each.id),
        each.role,
        each.revoked ? "revoked" : each.expires_ms !== null && each.expires_ms <= now ? "expired" : "works",
        each.expires_ms === null ? "never" : instant(each.expires_ms),
        each.uses_left === null ? "-" : String(each.uses_left),
        each.last_used_ms === null ? "never" : ago(each.last_used_ms, now),
        each.name,
      ]);
      out.line(table(["ID", "ROLE", "STATE", "EXPIRES", "USES", "LAST USE", "NAME"], rows, out.width));
    });
  token
    .command("revoke")
    .description("Make a token worthless, everywhere, within a minute.")
    .argument("<id>", "the token's id", idArgument)
    .action(async (id: number, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      await client.call(z.null(), "DELETE", `/tokens/${id}`);
      if (out.json) out.value({ id, revoked: true });
      else out.line(`token ${id} revoked`);
    });
}
