/** The page at `/` until the dashboard takes its place. */
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
<p>Submit and watch with the <code>tablao</code> command; docs/ in the checkout tells how.</p>
</html>
`;

/** GET / */
export async function showLanding(): Promise<Response> {
  return new Response(PAGE, {
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    },
  });
}
