/** The fallback page: what `/` and `/app/…` answer while the page is not built. */
const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tablao</title>
<h1>Tablao</h1>
<p>This is a render-farm manager. It is running.</p>
<ul>
<li><a href="/openapi.json">The HTTP API</a> (OpenAPI 3.1)
<li><a href="/healthz">Health</a>
</ul>
<p>Its page is not built here: <code>npm run build:page</code> does that. The <code>tablao</code> command needs no page.</p>
</html>
`;

export function fallbackPage(): Response {
  return new Response(PAGE, {
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    },
  });
}
