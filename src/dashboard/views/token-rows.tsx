/** A table of tokens, each with a button to revoke it. */
import { useSignal } from "@preact/signals";
import type { Token } from "../../protocol/token.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { ago, day, instant } from "../lib/format.ts";
import { Confirm } from "../parts/controls.tsx";
import { attempt } from "../parts/messages.tsx";
import { Table, type TableColumn } from "../parts/table.tsx";
import { text } from "../text.ts";

/** Whether a token has been revoked, has expired, or has been used up. */
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
  const columns: readonly TableColumn<Token>[] = [
    { title: t.tokenName, cell: (token) => token.name },
    { title: t.role, cell: (token) => token.role },
    { title: t.tags, cell: (token) => token.tags.join(", ") },
    { title: t.created, cell: (token) => day(token.created_ms) },
    {
      title: t.lastUsed,
      cell: (token) => (token.last_used_ms === null ? text.never : ago(token.last_used_ms, now)),
    },
    {
      title: t.ends,
      tooltip: (token) => (token.expires_ms === null ? undefined : instant(token.expires_ms)),
      cell: (token) => [end(token), ...(token.uses_left === null ? [] : [t.usesLeft(token.uses_left)])].join(", "),
    },
    {
      title: t.revoke,
      hiddenTitle: true,
      end: true,
      cell: (token) =>
        !token.revoked && (
          <button
            type="button"
            class="button little danger"
            onClick={() => (revoking.value = token)}
            aria-label={`${t.revoke} ${token.name}`}
          >
            {t.revoke}
          </button>
        ),
    },
  ];
  return (
    <>
      <Table
        label={t.tokens}
        columns={columns}
        items={tokens}
        keyOf={(token) => token.id}
        rowClass={(token) => (hasEnded(token, now) ? "quiet" : "")}
      />
      {chosen && (
        <Confirm
          title={t.revoke}
          words={t.revokeSure(chosen.name)}
          action={t.revoke}
          onClose={() => (revoking.value = null)}
          onYes={revokeChosen}
        />
      )}
    </>
  );
}
