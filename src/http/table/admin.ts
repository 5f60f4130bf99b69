/** Routes of settings and tokens. */
import {
  settingPatchSchema,
  settingSchema,
  settingsFilesSchema,
  settingsListSchema,
  settingsUpdateSchema,
} from "../../protocol/setting.ts";
import { accessSchema, tokenCreatedSchema, tokenCreateSchema, tokenListSchema } from "../../protocol/token.ts";
import { z } from "zod";
import { settingsQuery } from "../queries.ts";
import { ADMINS, PEOPLE, READERS, type Route } from "../route.ts";
import { listSettings, patchSetting, showSetting, updateSettings } from "../settings.ts";
import { createToken, listTokens, revokeToken, tradeAccess } from "../tokens.ts";

const settings = "settings";
const tokens = "tokens";

export const adminRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/settings",
    operationId: "listSettings",
    tag: settings,
    summary: "All settings, or the names of the render presets",
    who: PEOPLE,
    query: settingsQuery,
    answers: {
      200: {
        description: "Name → value; `?group=render`: `settings_files`",
        schema: z.union([settingsFilesSchema, settingsListSchema]),
      },
    },
    handler: listSettings,
  },
  {
    method: "POST",
    path: "/settings",
    operationId: "updateSettings",
    tag: settings,
    summary: "Change settings, all or nothing",
    description: "In a form, a value that spells a number, a boolean or JSON is one where the setting takes it.",
    who: ADMINS,
    body: settingsUpdateSchema,
    example: { lease_s: 120 },
    answers: { 204: { description: "Done" } },
    handler: updateSettings,
  },
  {
    method: "GET",
    path: "/settings/{name}",
    operationId: "showSetting",
    tag: settings,
    summary: "One setting",
    who: PEOPLE,
    answers: { 200: { description: "Name and value", schema: settingSchema } },
    handler: showSetting,
  },
  {
    method: "PATCH",
    path: "/settings/{name}",
    operationId: "patchSetting",
    tag: settings,
    summary: "Change one setting",
    who: ADMINS,
    body: settingPatchSchema,
    example: { value: 120 },
    answers: { 200: { description: "Name and value", schema: settingSchema } },
    handler: patchSetting,
  },
  {
    method: "POST",
    path: "/auth/access",
    operationId: "tradeAccess",
    tag: tokens,
    summary: "Trade a long-lived secret for an access token",
    description: "It lasts 60 s and is verified without any look-up. An access token cannot buy another.",
    who: READERS,
    fresh: true,
    answers: { 200: { description: "The access token", schema: accessSchema } },
    handler: tradeAccess,
  },
  {
    method: "GET",
    path: "/tokens",
    operationId: "listTokens",
    tag: tokens,
    summary: "All tokens, without their secrets",
    who: ADMINS,
    answers: { 200: { description: "Tokens", schema: tokenListSchema } },
    handler: listTokens,
  },
  {
    method: "POST",
    path: "/tokens",
    operationId: "createToken",
    tag: tokens,
    summary: "Create a token",
    who: ADMINS,
    body: tokenCreateSchema,
    example: { role: "join", name: "office", uses: 4 },
    answers: { 201: { description: "The token, with its secret in this one answer", schema: tokenCreatedSchema } },
    handler: createToken,
  },
  {
    method: "DELETE",
    path: "/tokens/{id}",
    operationId: "revokeToken",
    tag: tokens,
    summary: "Revoke a token",
    description: "Holds everywhere within 60 s.",
    who: ADMINS,
    answers: { 204: { description: "Done" } },
    handler: revokeToken,
  },
];
