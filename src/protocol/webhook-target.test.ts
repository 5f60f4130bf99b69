import { describe, expect, it } from "vitest";
import { checkSetting } from "./setting-rules.ts";
import { webhookCreateSchema } from "./webhook.ts";
import { areWebhookHosts, isPrivateHost, whyRefusedTarget } from "./webhook-target.ts";

const hostOf = (text: string): string => new URL(`https://${text}/`).hostname;

describe("P9: a webhook points to public hosts, or to those that the admin named", () => {
  it.each([
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "printer",
    "printer.local",
    "printer.local.",
    "vault.internal",
    "nas.home.arpa",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:1::]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "１２７.0.0.1",
  ])("%s is not public", (text) => {
    expect(isPrivateHost(hostOf(text))).toBe(true);
    expect(whyRefusedTarget(`https://${text}:8443/hook`, [])).toContain("webhook_hosts");
    expect(whyRefusedTarget(`http://${text}:8443/hook`, [hostOf(text)])).toBeUndefined();
  });

  it.each([
    "example.org",
    "example.org.",
    "127.0.0.1.example.org",
    "local.example.org",
    "8.8.8.8",
    "172.15.0.1",
    "172.32.0.1",
    "100.128.0.1",
    "192.167.0.1",
    "[2606:4700::1111]",
    "[2a00:1450::1]",
  ])("%s is public, with https only", (text) => {
    expect(whyRefusedTarget(`https://${text}/hook`, [])).toBeUndefined();
    expect(whyRefusedTarget(`http://${text}/hook`, [])).toContain("must be https");
  });

  it("names one host, not those that end like it, and not its other ports' names", () => {
    expect(whyRefusedTarget("http://127.0.0.2/", ["127.0.0.1"])).toBeDefined();
    expect(whyRefusedTarget("https://a.nas.local/", ["nas.local"])).toBeDefined();
    expect(whyRefusedTarget("https://nas.local:5000/", ["nas.local"])).toBeUndefined();
  });

  it("the setting takes hosts in the form that addresses have, and says so", () => {
    for (const good of [[], ["127.0.0.1", "[::1]", "nas.local", "localhost"]]) expect(areWebhookHosts(good)).toBe(true);
    for (const bad of [
      ["http://x"],
      ["x:80"],
      ["x/y"],
      ["127.1"],
      ["NAS"],
      [1],
      [""],
      "x",
      {},
      ["a b"],
      ["a@b"],
      ["a#"],
      Array(51).fill("a"),
    ])
      expect(areWebhookHosts(bad)).toBe(false);
    const errors = checkSetting("webhook_hosts", ["127.1"], () => ({ ok: true, value: null }));
    expect(errors).toEqual([{ field: "webhook_hosts", message: expect.stringContaining("must be a list") }]);
  });

  it("keeps the address in the one form that is asked for later", () => {
    const { url } = webhookCreateSchema.parse({ url: " https://EXAMPLE.org:443/a\r\nb/../c " });
    expect(url).toBe("https://example.org/c");
  });
});
