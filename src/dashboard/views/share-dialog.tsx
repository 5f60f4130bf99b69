/** Make a link that shows one task to a person without a token. */
import { useSignal } from "@preact/signals";
import type { Share } from "../../protocol/share.ts";
import { call } from "../lib/api.ts";
import { CopyBox, Dialog } from "../parts/controls.tsx";
import { SelectField } from "../parts/fields.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";

const DAY_S = 86_400;

export function ShareDialog({ taskId, onClose }: { taskId: number; onClose: () => void }) {
  const t = text.share;
  const days = useSignal("7");
  const share = useSignal<Share | null>(null);
  const make = (): void =>
    void attempt(async () => {
      const body = { expires_s: Number(days.value) * DAY_S };
      share.value = await call<Share>("POST", `/tasks/${taskId}/share`, { body });
    });
  const revoke = (): void =>
    void attempt(async () => {
      await call("DELETE", `/tasks/${taskId}/share`);
      onClose();
    }, t.revoked);
  return (
    <Dialog title={t.title} onClose={onClose}>
      <p>{t.lead}</p>
      {share.value === null ? (
        <SelectField label={t.days} value={days} choices={Object.entries(t.choices)} />
      ) : (
        <div class="stack close">
          <CopyBox value={share.value.url} label={t.link} />
          <p class="quiet small">{t.until(share.value.expires_ms)}</p>
        </div>
      )}
      <div class="actions">
        {share.value === null && (
          <button type="button" class="button main" onClick={make}>
            {t.make}
          </button>
        )}
        <button type="button" class="button" onClick={onClose}>
          {text.close}
        </button>
        <button type="button" class="button danger" onClick={revoke}>
          {t.revoke}
        </button>
      </div>
    </Dialog>
  );
}
