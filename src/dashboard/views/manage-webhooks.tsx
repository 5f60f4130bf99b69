/**
 * Webhooks: addresses to which the manager posts events of tasks, and what became of each delivery.
 */
import { useSignal } from "@preact/signals";
import type { Webhook, WebhookCreated, WebhookEvent } from "../../protocol/webhook.ts";
import type { DeliveryList, WebhookList } from "../lib/answers.ts";
import { call } from "../lib/api.ts";
import { managerNow } from "../lib/farm.ts";
import { ago } from "../lib/format.ts";
import { useList } from "../lib/use-list.ts";
import { AdminTable } from "../parts/admin-table.tsx";
import { Confirm, CopyBox } from "../parts/controls.tsx";
import { TextField } from "../parts/fields.tsx";
import { attempt } from "../parts/messages.tsx";
import { Table, type TableColumn } from "../parts/table.tsx";
import { text } from "../text.ts";

const EVENTS = ["task.completed", "task.failed", "task.first_frame"] as const satisfies readonly WebhookEvent[];

type Delivery = DeliveryList["deliveries"][number];

const t = text.manage;

const DELIVERY_COLUMNS: readonly TableColumn<Delivery>[] = [
  { title: t.deliveryTitles.at, cell: (delivery) => ago(delivery.created_ms, managerNow.value) },
  { title: t.deliveryTitles.event, cell: (delivery) => t.eventNames[delivery.event] },
  { title: t.deliveryTitles.task, cell: ({ task_id }) => <a href={`/app/tasks/${task_id}`}>#{task_id}</a> },
  {
    title: t.deliveryTitles.status,
    class: ({ status }) => (status === "failed" ? "bad" : ""),
    cell: ({ status }) => t.deliveryStatus[status],
  },
  { title: t.deliveryTitles.tries, cell: ({ tries }) => t.tries(tries) },
  {
    title: t.deliveryTitles.answer,
    class: () => "quiet",
    cell: ({ response_status, error }) => [response_status, error].filter((part) => part !== null).join(" "),
  },
];

function Deliveries({ id }: { id: number }) {
  const list = useList<DeliveryList>(`/webhooks/${id}/deliveries`);
  if (!list.value) return <p class="quiet">{list.wrong ?? text.loading}</p>;
  const { deliveries } = list.value;
  if (deliveries.length === 0) return <p class="quiet">{t.noDeliveries}</p>;
  return (
    <Table
      label={t.deliveries}
      columns={DELIVERY_COLUMNS}
      items={deliveries}
      keyOf={(delivery) => delivery.id}
      withoutTitles
    />
  );
}

function Hook({ hook, onChange }: { hook: Webhook; onChange: () => void }) {
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
    <AdminTable
      lead={t.webhooksLead}
      list={list}
      items={list.value?.webhooks ?? []}
      rows={(hooks) => (
        <div>
          {hooks.map((hook) => (
            <Hook key={hook.id} hook={hook} onChange={list.reload} />
          ))}
        </div>
      )}
      none={t.noHooks}
      form={{
        title: t.newHook,
        action: t.newHook,
        disabled: events.value.length === 0,
        onSubmit: add,
        fields: (
          <>
            <TextField label={t.url} value={url} kind="url" required placeholder="https://" />
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
          </>
        ),
        made: made.value && (
          <div class="stack close">
            <CopyBox value={made.value.secret} label={t.hookSecret} />
            <p class="quiet small">{t.secretOnce}</p>
          </div>
        ),
      }}
    />
  );
}
