/** All lines, in the order of the table. */
import type { Line } from "../line.ts";
import { hotPath } from "./hot-path.ts";

export const LINES: readonly Line[] = [hotPath];
