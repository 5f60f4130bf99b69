/** Drivers, and whether Blender evaluates them when scripts are off. */
import { kindOfExpression } from "./expressions.ts";
import type { Collectors, DataBlock } from "./facts.ts";
import type { Owner } from "./owners.ts";
import { listFirst, type StructView } from "./struct-view.ts";

/** `ChannelDriver.type`: an expression. Others only combine their variables. */
const SCRIPTED = 1;
/** `FCurve.flag`: the driver is switched off. */
const MUTED = 1 << 4;

async function curve(owner: Owner, view: StructView, block: DataBlock): Promise<void> {
  const driver = await owner.follow(view.pointer("driver"));
  if (!driver || ((view.number("flag") ?? 0) & MUTED) !== 0) return;
  const property = (await owner.text(view.pointer("rna_path")))?.text ?? "";
  if (driver.number("type") !== SCRIPTED) {
    block.drivers.push({ property, expression: "", kind: "simple" });
    return;
  }
  const expression = driver.text("expression") ?? "";
  const variables: string[] = [];
  for (const variable of await owner.list(listFirst(driver, "variables"))) variables.push(variable.text("name") ?? "");
  block.drivers.push({ property, expression, kind: kindOfExpression(expression, variables) });
}

export const driverCollectors: Collectors = [["FCurve", curve]];
