/** Webhooks: addresses that are told what became of tasks, and how each telling went. */
import { useSignal } from "@preact/signals";
import type { Webhook, WebhookCreated, WebhookEvent } from "../../protocol/webhook.ts";
import type { DeliveryList, WebhookList } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { ago } from "../lib/format.ts";
import { useList } from "../lib/use-list.ts";
import { Confirm, CopyBox, Field } from "../parts/controls.tsx";
import { attempt } from "../parts/messages.tsx";
import { text } from "../text.ts";
import "./history.css";

const EVENTS = ["task.completed", "task.failed", "task.first_frame"] as const satisfies readonly WebhookEvent[];

function Deliveries({ id }: { id: number }) {
  const t = text.manage;
  const list = useList<DeliveryList>(`/webhooks/${id}/deliveries`);
  if (!list.value) return <p class="quiet">{list.wrong ?? text.loading}</p>;
  if (list.value.deliveries.length === 0) return <p class="quiet">{t.noDeliveries}</p>;
  return (
    <div class="table-box" tabIndex={0} role="group" aria-label={t.deliveries}>
      <table>
        <tbody>
          {list.value.deliveries.map((delivery) => (
            <tr key={delivery.id}>
              <th scope="row">{ago(delivery.created_ms, managerNow.value)}</th>
              <td>{t.eventNames[delivery.event]}</td>
              <td>
                <a href={`/app/tasks/${delivery.task_id}`}>#{delivery.task_id}</a>
              </td>
              <td class={delivery.status === "failed" ? "bad" : ""}>{t.deliveryStatus[delivery.status]}</td>
              <td>{t.tries(delivery.tries)}</td>
              <td class="quiet">
                {[delivery.response_status, delivery.error].filter((part) => part !== null).join(" ")}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Hook({ hook, onChange }: { hook: Webhook; onChange: () => void }) {
  const t = text.manage;
  const open = useSignal(false);
  const removing = useSignal(false);
  const remove = (): void =>
    void attempt(async () => {
      await call("DELETE", `/webhooks/${hook.id}`);
      onChange();
    });
  return (
    <div class="hook">
      <div class="hook-head">
        <span class="url strong">{hook.url}</span>
        {hook.last_status !== null && (
          <span class={hook.last_status === "failed" ? "bad" : "quiet"}>
            {t.deliveryStatus[hook.last_status]}
            {hook.last_ms !== null && `, ${ago(hook.last_ms, managerNow.value)}`}
          </span>
        )}
        <button
          type="button"
          class="button little"
          aria-expanded={open.value}
          onClick={() => (open.value = !open.value)}
        >
          {t.deliveries}
        </button>
        <button type="button" class="button little danger" onClick={() => (removing.value = true)}>
          {text.remove}
        </button>
      </div>
      <span class="quiet">{hook.events.map((event) => t.eventNames[event]).join(" · ")}</span>
      {open.value && <Deliveries id={hook.id} />}
      {removing.value && (
        <Confirm
          title={t.hookRemove}
          words={t.hookRemoveSure}
          action={text.remove}
          onClose={() => (removing.value = false)}
          onYes={remove}
        />
      )}
    </div>
  );
}

export function ManageWebhooks() {
  const t = text.manage;
  const list = useList<WebhookList>("/webhooks");
  const url = useSignal("");
  const events = useSignal<readonly WebhookEvent[]>(EVENTS);
  const made = useSignal<WebhookCreated | null>(null);
  const add = (): void =>
    void attempt(async () => {
      made.value = await call<WebhookCreated>("POST", "/webhooks", { body: { url: url.value, events: events.value } });
      url.value = "";
      list.reload();
    });
  return (
    <div class="stack">
      <p class="quiet">{t.webhooksLead}</p>
      {list.wrong !== null && <p class="note bad-note">{list.wrong}</p>}
      {list.value?.webhooks.length === 0 && <p class="quiet">{t.noHooks}</p>}
      {(list.value?.webhooks.length ?? 0) > 0 && (
        <div>
          {list.value!.webhooks.map((hook) => (
            <Hook key={hook.id} hook={hook} onChange={list.reload} />
          ))}
        </div>
      )}
      <form
        class="manage-form"
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        <h2>{t.newHook}</h2>
        <Field label={t.url}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              type="url"
              required
              placeholder="https://"
              value={url.value}
              onInput={(event) => (url.value = event.currentTarget.value)}
            />
          )}
        </Field>
        <fieldset class="stack close">
          <legend class="strong">{t.events}</legend>
          {EVENTS.map((event) => (
            <label class="check" key={event}>
              <input
                type="checkbox"
                checked={events.value.includes(event)}
                onChange={(change) =>
                  (events.value = EVENTS.filter((one) =>
                    one === event ? change.currentTarget.checked : events.value.includes(one),
                  ))
                }
              />
              {t.eventNames[event]}
            </label>
          ))}
        </fieldset>
        <div class="actions">
          <button type="submit" class="button main" disabled={events.value.length === 0}>
            {t.newHook}
          </button>
        </div>
        {made.value && (
          <div class="stack close">
            <CopyBox value={made.value.secret} label={t.hookSecret} />
            <p class="quiet small">{t.secretOnce}</p>
          </div>
        )}
      </form>
    </div>
  );
}
