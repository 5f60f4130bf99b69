/**
 * Node's plain HTTP client on sockets that stay open: `fetch` would use more CPU than what is
 * measured.
 */
import http from "node:http";

/** One request; returns the body's text, throws for every status but 200 to 299. */
export function request(
  agent: http.Agent,
  method: string,
  url: URL,
  headers: Record<string, string>,
  json?: object | string,
): Promise<string> {
  const body = typeof json === "object" ? JSON.stringify(json) : (json ?? "");
  return new Promise((resolve, reject) => {
    const about = body === "" ? {} : { "content-type": "application/json" };
    const all = { ...about, "content-length": Buffer.byteLength(body), ...headers };
    const sent = http.request(url, { method, agent, headers: all }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve(text);
        else reject(new Error(`${method} ${url.pathname} answered ${statusCode}: ${text}`));
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
