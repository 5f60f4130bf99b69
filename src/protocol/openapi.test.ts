import { expect, it } from "vitest";
import { z } from "zod";
import { openApiDocument, type RouteDescription } from "./openapi.ts";

const inner = z.strictObject({ size: z.int().default(1) }).meta({ id: "Inner" });
const outer = z.object({ inner, data: z.json() }).meta({ id: "Outer" });
const same = z.strictObject({ name: z.string() }).meta({ id: "Same" });

function route(more: Partial<RouteDescription>): RouteDescription {
  const base = {
    method: "POST",
    path: "/things/{id}",
    operationId: "make",
    tag: "t",
    summary: "",
    who: ["admin"],
  } as const;
  return { ...base, answers: { 200: { description: "", schema: outer } }, ...more };
}

function schemasOf(document: Record<string, unknown>) {
  return (
    document as {
      components: { schemas: Record<string, { required?: string[]; properties: Record<string, unknown> }> };
    }
  ).components.schemas;
}

it("gives a request schema a name of its own where it differs from the answer, also in nested schemas", () => {
  const schemas = schemasOf(openApiDocument([route({ body: outer })], "1"));
  expect(Object.keys(schemas)).toEqual(["Inner", "InnerInput", "JsonValue", "Outer", "OuterInput", "Problem"]);
  expect(schemas["Outer"]!.properties["inner"]).toEqual({ $ref: "#/components/schemas/Inner" });
  expect(schemas["OuterInput"]!.properties["inner"]).toEqual({ $ref: "#/components/schemas/InnerInput" });
  expect([schemas["Inner"]!.required, schemas["InnerInput"]!.required]).toEqual([["size"], undefined]);
});

it("lists the refusals that follow from a route's properties", () => {
  const responses = (more: Partial<RouteDescription>) => {
    const document = openApiDocument([route(more)], "1") as {
      paths: Record<string, Record<string, { responses: object }>>;
    };
    return Object.keys(Object.values(Object.values(document.paths)[0]!)[0]!.responses);
  };
  expect(responses({ path: "/healthz", method: "GET", who: "anyone" })).toEqual(["200", "500", "503"]);
  expect(responses({ body: same, problems: ["conflict"] })).toEqual([
    "200",
    "400",
    "401",
    "403",
    "404",
    "409",
    "413",
    "415",
    "422",
    "429",
    "500",
    "503",
  ]);
});

it("says that a form's lists and objects are JSON, and what headers look like", () => {
  const body = z.strictObject({ name: z.string(), tags: z.array(z.string()).default([]), inner: inner.optional() });
  const headers = [{ name: "X-Hash", description: "", pattern: "^[0-9a-f]{64}$" }];
  const document = openApiDocument([route({ body, headers })], "1") as {
    paths: Record<string, { post: { parameters: object[]; requestBody: { content: Record<string, object> } } }>;
  };
  const { parameters, requestBody } = document.paths["/things/{id}"]!.post;
  expect(requestBody.content["application/x-www-form-urlencoded"]).toMatchObject({
    encoding: { tags: { contentType: "application/json" }, inner: { contentType: "application/json" } },
  });
  expect(Object.keys(requestBody.content["application/json"]!)).toEqual(["schema"]);
  expect(parameters[1]).toMatchObject({ name: "X-Hash", schema: { type: "string", pattern: "^[0-9a-f]{64}$" } });
});
