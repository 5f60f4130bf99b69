/** `tablao settings get|set|list`: settings of the farm, of which some are render presets. */
import type { Command } from "commander";
import { settingSchema, settingsListSchema } from "../../protocol/setting.ts";
import { contextOf } from "../command-line.ts";
import { table } from "../text.ts";
import { COMMAND } from "../own-command.ts";

/** Read a value as JSON where it is JSON (`90`, `true`, `{"samples": 64}`), else as text. */
function settingValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Add the commands to the program. */
export function addSettings(program: Command): void {
  const settings = program
    .command("settings")
    .summary("read and change settings of the farm")
    .description("Read and change settings of the farm. Names that begin with render. are render presets.");
  settings
    .command("list")
    .description("All settings.")
    .action(async (_: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const all = await client.call(settingsListSchema, "GET", "/settings");
      if (out.json) return out.value(all);
      const rows = Object.entries(all).map(([name, value]) => [name, JSON.stringify(value)]);
      if (rows.length === 0) return out.note(`no settings; make one with: ${COMMAND} settings set NAME VALUE`);
      out.line(table(["NAME", "VALUE"], rows, out.width));
    });
  settings
    .command("get")
    .description("One setting's value.")
    .argument("<name>")
    .action(async (name: string, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const setting = await client.call(settingSchema, "GET", `/settings/${encodeURIComponent(name)}`);
      if (out.json) return out.value(setting);
      out.line(typeof setting.value === "string" ? setting.value : JSON.stringify(setting.value, null, 2));
    });
  settings
    .command("set")
    .description(
      "Change a setting. The value is JSON where it is JSON, else text: 90, true, '{\"samples\": 64}', hello.",
    )
    .argument("<name>")
    .argument("<value>")
    .action(async (name: string, value: string, _: unknown, command: Command) => {
      const { client, out } = contextOf(command);
      const json = { value: settingValue(value) };
      const setting = await client.call(settingSchema, "PATCH", `/settings/${encodeURIComponent(name)}`, { json });
      if (out.json) return out.value(setting);
      out.line(`${setting.name} = ${JSON.stringify(setting.value)}`);
    });
}
