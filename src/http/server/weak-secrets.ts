/**
 * What a deployment with a secret that can be guessed still does (P9). Nobody is the admin of its
 * `TABLAO_ADMIN_TOKEN`, and nothing is signed with a weak key: whoever guesses the key could sign an
 * access token of an admin. Workers and people with tokens of their own go on, with signatures by a
 * random key that the registry made.
 */
import { weakSecret } from "../../protocol/secret-strength.ts";
import type { Env } from "../../rpc/env.ts";
import { callRegistry } from "../../rpc/stubs.ts";

type Secrets = Pick<Env, "TABLAO_ADMIN_TOKEN" | "TABLAO_SIGNING_KEY">;

/** To judge a text takes about as long as to hash it, so it is done once per isolate. */
let judged: { admin: string | undefined; key: string | undefined; weakness: string | null; weakKey: boolean } | null =
  null;

function judge({ TABLAO_ADMIN_TOKEN: admin, TABLAO_SIGNING_KEY: key }: Secrets): NonNullable<typeof judged> {
  if (judged?.admin === admin && judged?.key === key && judged !== null) return judged;
  const ofAdmin = weakSecret("TABLAO_ADMIN_TOKEN", admin ?? "");
  const ofKey = key ? weakSecret("TABLAO_SIGNING_KEY", key) : null;
  judged = { admin, key, weakness: ofAdmin ?? ofKey, weakKey: (key ? ofKey : ofAdmin) !== null };
  return judged;
}

/** What is wrong with the secrets of this deployment, and how to mend it; null when nothing is. */
export function weaknessOf(env: Secrets): string | null {
  return judge(env).weakness;
}

let spareKey: string | null = null;

/** The same bindings, with a signing key that nobody can guess. */
export async function withStrongKey(env: Env): Promise<Env> {
  if (!judge(env).weakKey) return env;
  spareKey ??= await callRegistry(env, (registry) => registry.spareSigningKey());
  return { ...env, spareSigningKey: spareKey };
}
