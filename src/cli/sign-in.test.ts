import { expect, test } from "vitest";
import { browserCommand } from "./commands/sign-in.ts";

test("P9: an address is opened without a shell, which would run what stands behind an '&'", () => {
  const url = "https://farm.example.com/?a=1&calc.exe";
  expect(browserCommand(url, "win32", { SystemRoot: "C:\\Windows" })).toEqual([
    "C:\\Windows\\System32\\rundll32.exe",
    "url.dll,FileProtocolHandler",
    url,
  ]);
  expect(browserCommand(url, "darwin", {})).toEqual(["open", url]);
  expect(browserCommand(url, "linux", {})).toEqual(["xdg-open", url]);
});
