import { describe, expect, test } from "vitest";
import { checkWorkerOptions } from "./options.ts";
import { childEnvironment, ocioProblem, whyNotPassed } from "./renderer-environment.ts";

describe("P9: a renderer's environment", () => {
  const secrets = {
    TABLAO_TOKEN: "a",
    tablao_x: "b",
    AZURE_STORAGE_KEY: "c",
    DATABASE_KEY: "d",
    JWT: "e",
    STRIPE_KEY: "f",
    SLACK_WEBHOOK: "https://hooks.example/T0/B0/x",
    CLOUDFLARE_API_TOKEN: "g",
    SSH_AUTH_SOCK: "/run/agent",
    http_proxy: "http://ana:pa55@proxy:3128",
    MINE: "anything else",
    GPU_CLOUD_TOKEN: "a listed family does not make it one",
    CUDA_CACHE_PATH: `tablao_join_${"x".repeat(43)}`,
  };
  const needed = {
    PATH: "/bin",
    HOME: "/h",
    LANG: "de_DE.UTF-8",
    LC_ALL: "C",
    DISPLAY: ":0",
    XAUTHORITY: "/h/.Xauthority",
    CUDA_VISIBLE_DEVICES: "1",
    HIP_VISIBLE_DEVICES: "0",
    OCIO: "/studio/config.ocio",
    BLENDER_USER_CONFIG: "/h/blender",
    LD_LIBRARY_PATH: "/opt/lib",
  };

  test("has what is on the list and what the lease adds, and nothing else of the agent's", () => {
    expect(childEnvironment({ ...secrets, ...needed }, { TMPDIR: "/t" }, [], "linux")).toEqual({
      ...needed,
      TMPDIR: "/t",
    });
  });

  test("has what the owner of the machine names, whatever it looks like", () => {
    const own = { PATH: "/bin", foundry_LICENSE: "4101@licences", peregrinel_LICENSE: "x", STRIPE_KEY: "f" };
    const named = ["foundry_LICENSE", "STRIPE_KEY"];
    expect(childEnvironment(own, {}, named, "linux")).toEqual({
      PATH: "/bin",
      foundry_LICENSE: "4101@licences",
      STRIPE_KEY: "f",
    });
  });

  test("is found on Windows in any case, and has what Windows needs", () => {
    const own = {
      Path: "C:/",
      SystemRoot: "C:/W",
      AppData: "C:/A",
      "ProgramFiles(x86)": "C:/P",
      Licence: "x",
      My: "y",
    };
    const { My: _, ...kept } = own;
    expect(childEnvironment(own, {}, ["LICENCE"], "win32")).toEqual(kept);
    expect(childEnvironment(own, {}, ["LICENCE"], "linux")).toEqual({});
    // With both, the process would get either.
    const temporary = { Temp: "C:/T", tmp: "C:/T" };
    expect(childEnvironment(temporary, { TEMP: "L", TMP: "L" }, [], "win32")).toEqual({ TEMP: "L", TMP: "L" });
  });
});

describe("--env", () => {
  test.each([
    ["LICENCE=x", /letters, digits/],
    ["1A", /letters, digits/],
    ["", /letters, digits/],
    ["TABLAO_TOKEN", /hold tokens/],
    ["tablao_join", /hold tokens/],
    ["NOT_SET_HERE", /NOT_SET_HERE: this variable is not set/],
  ])("P10: %s is refused with the reason", (name, why) => {
    expect(whyNotPassed(name, { TABLAO_TOKEN: "t", tablao_join: "j" })).toMatch(why);
    expect(checkWorkerOptions({ env: ["PATH", name] })).toMatchObject({ ok: false, error: expect.stringMatching(why) });
  });

  test("names of variables that are set are taken", () => {
    expect(whyNotPassed("LICENCE", { LICENCE: "" })).toBeNull();
    expect(checkWorkerOptions({ env: ["PATH"] })).toMatchObject({ ok: true, value: { env: ["PATH"] } });
  });
});

test("a colour configuration that is not there is told in one line", () => {
  const there = (path: string): boolean => path === "/studio/config.ocio";
  expect(ocioProblem({ OCIO: "/gone/config.ocio" }, there)).toMatch(/^OCIO is '\/gone\/config.ocio', and there is no/);
  for (const OCIO of [undefined, "", "/studio/config.ocio", "ocio://default"])
    expect(ocioProblem({ OCIO }, there)).toBeNull();
});
