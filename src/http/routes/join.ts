/**
 * `/join…`: how a machine without a checkout becomes a worker. The scripts hold this manager's own address, and
 * the hash of the program that it serves; the program itself is a static file beside the page.
 */
import { z } from "zod";
import { ok, type Result } from "../../lib/result.ts";
import { refuse, type Refusal } from "../../protocol/problem.ts";
import { NODE_MIRROR } from "../../protocol/setting-rules.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry } from "../../rpc/stubs.ts";
import { areHarmless, type JoinFacts } from "../join/facts.ts";
import { joinPage } from "../join/join-page.ts";
import { powershellScript } from "../join/powershell-script.ts";
import { shellScript } from "../join/shell-script.ts";
import { servedProgram } from "../served-program.ts";
import { BoundedCache } from "../server/bounded-cache.ts";
import { defineRoute, type RequestContext, type Route } from "../server/route.ts";

/** Anybody may ask for a script, so the registry is not asked each time: a changed setting shows after this. */
const MIRROR_MS = 60_000;
const mirrors = new BoundedCache<string>(1);

async function nodeMirror(env: Env): Promise<string> {
  const nowMs = Date.now();
  const known = mirrors.get("", nowMs);
  if (known !== undefined) return known;
  const value = await callRegistry(env, (registry) => registry.getSetting(NODE_MIRROR));
  const mirror = z.string().parse(value.ok ? value.value : null);
  mirrors.set("", mirror, nowMs + MIRROR_MS);
  return mirror;
}

async function joinFacts({ env, url }: RequestContext): Promise<Result<JoinFacts, Refusal>> {
  const program = await servedProgram(env, url.origin);
  if (program === null)
    return refuse("not_found", "This manager serves no program: its page was not built (npm run build:page).");
  const facts = { manager: url.origin, program, nodeMirror: await nodeMirror(env) };
  if (areHarmless(facts)) return ok(facts);
  return refuse("not_found", "This manager's address has characters that no script can hold.");
}

/** A route that answers a text that is made from the facts. */
function join(path: string, operationId: string, summary: string, media: string, text: (facts: JoinFacts) => string) {
  return defineRoute({
    method: "GET",
    path,
    operationId,
    tag: "manager",
    summary,
    who: "anyone",
    answers: { 200: { description: summary, media } },
    handle: async (context) => {
      const facts = await joinFacts(context);
      if (!facts.ok) return facts;
      const headers = {
        "Content-Type": `${media}; charset=utf-8`,
        "Content-Security-Policy":
          "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      };
      return new Response(text(facts.value), { headers });
    },
  });
}

export const joinRoutes: readonly Route[] = [
  join("/join", "join", "How a machine joins, for people", "text/html", joinPage),
  join("/join.sh", "joinScript", "The script of the join line for Linux and macOS", "text/plain", shellScript),
  join("/join.ps1", "joinScriptWindows", "The script of the join line for Windows", "text/plain", powershellScript),
];
