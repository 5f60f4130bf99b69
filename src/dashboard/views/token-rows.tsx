/** Tokens as rows, each with its button to revoke. */
import { useSignal } from "@preact/signals";
import type { Token } from "../../protocol/token.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { ago, day, instant } from "../lib/format.ts";
import { Confirm } from "../parts/controls.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";

export function hasEnded(token: Token, nowMs: number): boolean {
  return token.revoked || (token.expires_ms !== null && token.expires_ms <= nowMs) || token.uses_left === 0;
}

export function TokenRows({ tokens, onChange }: { tokens: readonly Token[]; onChange: () => void }) {
  const t = text.manage;
  const revoking = useSignal<Token | null>(null);
  const now = managerNow.value;
  const revoke = (token: Token): void =>
    void attempt(async () => {
      await call("DELETE", `/tokens/${token.id}`);
      onChange();
    });
  const chosen = revoking.value;
  const revokeChosen = (): void => {
    if (chosen) revoke(chosen);
  };
  const end = (token: Token): string => {
    if (token.revoked) return t.revoked;
    if (token.expires_ms !== null && token.expires_ms <= now) return t.expired;
    return token.expires_ms === null ? text.never : day(token.expires_ms);
  };
  return (
    <div class="table-box" tabIndex={0} role="group" aria-label={t.tokens}>
      <table>
        <thead>
          <tr>
            {[t.tokenName, t.role, t.tags, t.created, t.lastUsed, t.ends].map((name) => (
              <th scope="col" key={name}>
                {name}
              </th>
            ))}
            <th scope="col">
              <span class="hidden-text">{t.revoke}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {tokens.map((token) => (
            <tr key={token.id} class={hasEnded(token, now) ? "quiet" : ""}>
              <th scope="row">{token.name}</th>
              <td>{token.role}</td>
              <td>{token.tags.join(", ")}</td>
              <td>{day(token.created_ms)}</td>
              <td>{token.last_used_ms === null ? text.never : ago(token.last_used_ms, now)}</td>
              <td title={token.expires_ms === null ? undefined : instant(token.expires_ms)}>
                {end(token)}
                {token.uses_left !== null && `, ${t.usesLeft(token.uses_left)}`}
              </td>
              <td class="num">
                {!token.revoked && (
                  <button
                    type="button"
                    class="button little danger"
                    onClick={() => (revoking.value = token)}
                    aria-label={`${t.revoke} ${token.name}`}
                  >
                    {t.revoke}
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {chosen && (
        <Confirm
          title={t.revoke}
          words={t.revokeSure(chosen.name)}
          action={t.revoke}
          onClose={() => (revoking.value = null)}
          onYes={revokeChosen}
        />
      )}
    </div>
  );
}
