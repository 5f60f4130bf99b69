/** All cases, in the order of the table. */
import type { Case } from "../case.ts";
import { blender } from "./blender.ts";
import { registry } from "./registry.ts";
import { uploads } from "./uploads.ts";
import { agents } from "./agents.ts";
import { chunks } from "./chunks.ts";
import { counts } from "./counts.ts";
import { fanOut } from "./fan-out.ts";
import { growth } from "./growth.ts";
import { hotPath } from "./hot-path.ts";
import { idle } from "./idle.ts";
import { managers } from "./managers.ts";
import { overHttp } from "./http.ts";
import { search } from "./search.ts";
import { pictures } from "./pictures.ts";
import { scenes } from "./scenes.ts";

export const CASES: readonly Case[] = [
  hotPath,
  overHttp,
  registry,
  growth,
  search,
  counts,
  idle,
  agents,
  managers,
  uploads,
  blender,
  scenes,
  pictures,
  chunks,
  fanOut,
];
