/** `/join`: how a machine joins, for people. HTML without a script; the token is not in it. */
import { joinCommand, joinCommandWindows } from "../../protocol/join-command.ts";
import type { JoinFacts } from "./facts.ts";

/** The page. The values of `facts` have only characters that mean nothing to HTML (`facts.ts`). */
export function joinPage({ manager, program, nodeMirror }: JoinFacts): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Add a machine to this farm</title>
<link rel="stylesheet" href="/join.css">
<h1>Add a machine to this farm</h1>
<p>Run one line on the machine that is to render. In place of TOKEN stands a join token, which an admin makes:
<a href="/app/manage/workers">Manage › Workers</a> shows these lines with one.</p>
<h2>Linux and macOS</h2>
<pre>${joinCommand(manager, "TOKEN")}</pre>
<h2>Windows (PowerShell)</h2>
<pre>${joinCommandWindows(manager, "TOKEN")}</pre>
<p>It needs no administrator. It uses Node 20 or newer where that is installed, and else fetches Node's official
build from ${nodeMirror}. Everything is written into the folder .tablao of your home (Windows: %LOCALAPPDATA%\\Tablao).
Without a token, the line installs the command line only. With <code>TABLAO_SERVICE=1</code> beside the token
(Windows: <code>$env:TABLAO_SERVICE='1';</code> before <code>irm</code>) the worker becomes a service, which starts with
the machine or when you sign in: it says which.</p>
<h2>What it fetches from here</h2>
<p><a href="/tablao.mjs">tablao.mjs</a>, version ${program.version}, ${program.bytes} bytes, SHA-256 <code>${program.sha256}</code>.
Read the scripts first, if you like: <a href="/join.sh">join.sh</a>, <a href="/join.ps1">join.ps1</a>.</p>
</html>
`;
}
