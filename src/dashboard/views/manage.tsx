/** The view for admins: join lines, tokens, settings, webhooks, storage, Blender. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { isAdmin } from "../lib/session.ts";
import { query, setQuery } from "../lib/router.ts";
import { Tabs } from "../parts/tabs.tsx";
import { text } from "../text.ts";
import { ManageBlender } from "./manage-blender.tsx";
import { ManageSettings } from "./manage-settings.tsx";
import { ManageStorage } from "./manage-storage.tsx";
import { ManageTokens } from "./manage-tokens.tsx";
import { ManageWebhooks } from "./manage-webhooks.tsx";
import { ManageWorkers } from "./manage-workers.tsx";
import "./manage.css";

const TABS = ["workers", "tokens", "settings", "webhooks", "storage", "blender"] as const;
type Tab = (typeof TABS)[number];

function tabOf(value: string | null): Tab {
  return TABS.find((tab) => tab === value) ?? "workers";
}

export function Manage() {
  const t = text.manage;
  const tab = useSignal<Tab>(tabOf(query.value.get("view")));
  useSignalEffect(() => {
    const view = tab.value;
    if (tabOf(query.peek().get("view")) !== view) setQuery({ view });
  });
  if (!isAdmin.value) return <p class="empty">{t.adminOnly}</p>;
  return (
    <>
      <div class="head">
        <h1>{t.title}</h1>
      </div>
      <div class="sheet">
        <Tabs label={t.views} chosen={tab} tabs={TABS.map((name) => [name, t.tabs[name]] as const)} />
        <div role="tabpanel" id={`panel-${tab.value}`} aria-labelledby={`tab-${tab.value}`} class="tab-panel">
          {tab.value === "workers" && <ManageWorkers />}
          {tab.value === "tokens" && <ManageTokens />}
          {tab.value === "settings" && <ManageSettings />}
          {tab.value === "webhooks" && <ManageWebhooks />}
          {tab.value === "storage" && <ManageStorage />}
          {tab.value === "blender" && <ManageBlender />}
        </div>
      </div>
    </>
  );
}
