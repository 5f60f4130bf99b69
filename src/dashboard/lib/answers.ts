/** Types of answers for which the protocol exports a schema and no type. */
import type { z } from "zod";
import type { dayTotalsSchema, historyPageSchema, workerTotalsSchema } from "../../protocol/history.ts";
import type { assetsStoredSchema, missingResultSchema } from "../../protocol/file.ts";
import type { settingsFilesSchema, settingsListSchema } from "../../protocol/setting.ts";
import type { framesPageSchema, taskListSchema } from "../../protocol/task.ts";
import type { tokenCreatedSchema, tokenListSchema } from "../../protocol/token.ts";
import type { deliveryListSchema, webhookListSchema } from "../../protocol/webhook.ts";

export type FramesPage = z.infer<typeof framesPageSchema>;
export type TaskList = z.infer<typeof taskListSchema>;
export type HistoryPage = z.infer<typeof historyPageSchema>;
export type DayTotals = z.infer<typeof dayTotalsSchema>;
export type WorkerTotals = z.infer<typeof workerTotalsSchema>;
export type AssetsMissing = z.infer<typeof missingResultSchema>;
export type AssetsStored = z.infer<typeof assetsStoredSchema>;
export type SettingsFiles = z.infer<typeof settingsFilesSchema>;
export type Settings = z.infer<typeof settingsListSchema>;
export type TokenList = z.infer<typeof tokenListSchema>;
export type TokenCreated = z.infer<typeof tokenCreatedSchema>;
export type WebhookList = z.infer<typeof webhookListSchema>;
export type DeliveryList = z.infer<typeof deliveryListSchema>;
