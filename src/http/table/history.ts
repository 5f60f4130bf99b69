/** Routes of history. */
import { dayTotalsSchema, historyPageSchema, workerTotalsSchema } from "../../protocol/history.ts";
import { daysQuerySchema, getHistory, getHistoryDays, getHistoryWorkers, historyQuerySchema } from "../history.ts";
import { PEOPLE, type Route } from "../route.ts";

const common = { method: "GET", tag: "history", who: PEOPLE } as const;

export const historyRoutes: readonly Route[] = [
  {
    ...common,
    path: "/history",
    operationId: "listHistory",
    summary: "What happened, newest first",
    query: historyQuerySchema,
    answers: { 200: { description: "A page of events", schema: historyPageSchema } },
    handler: getHistory,
  },
  {
    ...common,
    path: "/history/days",
    operationId: "listDays",
    summary: "Totals per day (UTC)",
    query: daysQuerySchema,
    answers: { 200: { description: "Days", schema: dayTotalsSchema } },
    handler: getHistoryDays,
  },
  {
    ...common,
    path: "/history/workers",
    operationId: "listWorkerTotals",
    summary: "Totals per worker, the busiest first",
    query: daysQuerySchema,
    answers: { 200: { description: "Workers", schema: workerTotalsSchema } },
    handler: getHistoryWorkers,
  },
];
