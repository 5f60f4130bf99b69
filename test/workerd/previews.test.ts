/** Previews on the manager: they come with a frame and never replace its output. */
import { env as bindings } from "cloudflare:workers";
import { afterEach, beforeAll, expect, it, vi } from "vitest";
import type { Env } from "../../src/rpc/env.ts";
import { taskStub } from "../../src/rpc/stubs.ts";
import { MAX_PREVIEW_BYTES } from "../../src/protocol/file.ts";
import { framesPageSchema } from "../../src/protocol/task.ts";
import { ring } from "./alarms.ts";
import { claim, newRender, upload } from "./api-farm.ts";
import { newWorker, okJson, problem, send } from "./http-client.ts";
import { watch } from "./live-client.ts";
import type { TaskMessage } from "../../src/protocol/live.ts";

const env = bindings as unknown as Env;
let token: string;

beforeAll(async () => {
  token = (await newWorker("previews")).secret;
});

afterEach(() => {
  vi.useRealTimers();
});

type Rendered = Awaited<ReturnType<typeof rendered>>;

/** A lease, with the uploads for its first frame. */
async function rendered(id: number) {
  const lease = await claim(token, id);
  const { frame, name } = lease.plan.outputs[0]!;
  const main = await upload(token, lease, name, `pixels of ${lease.attempt}`);
  const preview = await upload(token, lease, `${name}.preview.jpg`, `small ${lease.attempt}`);
  return { id, lease, frame, name, main, preview };
}

async function complete({ id, lease, frame }: Rendered, receipts: string[]): Promise<Response> {
  const json = { attempt: lease.attempt, done: [{ frame, seconds: 1, receipts }] };
  return await send("POST", `/tasks/${id}/leases/${lease.lease_id}/complete`, { token, json });
}

it("P11: a preview comes with its frame, in any order of uploads; alone it does not make the frame done", async () => {
  const made = await rendered(await newRender());
  await problem(await complete(made, [made.preview]), 422, "invalid");
  await problem(await complete(made, [made.main, made.preview, made.preview]), 422, "invalid");
  await problem(await complete(made, [made.main, made.main]), 422, "invalid");
  const other = made.lease.plan.outputs[0]!.name.replace("1", "2");
  const foreign = await upload(token, made.lease, `${other}.preview.jpg`, "of another frame");
  await problem(await complete(made, [made.main, foreign]), 422, "invalid");
  const large = await upload(token, made.lease, `${made.name}.preview.jpg.preview.jpg`, "x");
  await problem(await complete(made, [made.main, large]), 422, "invalid");
  const page = await watch<TaskMessage>(`/tasks/${made.id}/live`);
  await okJson(await complete(made, [made.preview, made.main]), 200);
  const { frames } = framesPageSchema.parse(await okJson(await send("GET", `/tasks/${made.id}/frames`), 200));
  expect(frames[0]!.files.map(({ name, kind }) => [name, kind])).toEqual([
    [made.name, undefined],
    [`${made.name}.preview.jpg`, "preview"],
  ]);
  await page.until(
    (messages) => messages.some((m) => m.type === "delta" && m.frames?.some((frame) => frame.preview)),
    "the preview",
  );
  const late = await watch<TaskMessage>(`/tasks/${made.id}/live`);
  const [first] = await late.until((messages) => messages.length > 0, "a snapshot");
  expect(first).toMatchObject({ frames: { previews: [String(made.frame)], done: [String(made.frame)] } });
  const files = await okJson(await send("GET", `/tasks/${made.id}/files`), 200);
  expect((files["files"] as { name: string }[]).map(({ name }) => name)).toEqual([made.name]);
  expect(await (await send("GET", `/tasks/${made.id}/frames/${made.frame}/file`)).text()).toBe("pixels of 1");
  const picture = await send("GET", `/tasks/${made.id}/frames/${made.frame}/preview?a=1`);
  expect([picture.headers.get("Content-Type"), await picture.text()]).toEqual(["image/jpeg", "small 1"]);
});

it("a frame without a preview has none, and a preview that is too large is refused", async () => {
  const made = await rendered(await newRender());
  await okJson(await complete(made, [made.main]), 200);
  await problem(await send("GET", `/tasks/${made.id}/frames/${made.frame}/preview`), 404, "not_found");
  await problem(await send("GET", `/tasks/${made.id}/frames/99/preview`), 404, "not_found");
  await problem(await send("GET", `/tasks/${made.id}/frames/${made.frame}/preview?a=0`), 422, "invalid");
  const next = await claim(token, made.id);
  const { frame, name } = next.plan.outputs[0]!;
  const main = await upload(token, next, name, "pixels");
  const large = await upload(token, next, `${name}.preview.jpg`, "x".repeat(MAX_PREVIEW_BYTES + 1));
  await problem(await complete({ ...made, lease: next, frame }, [main, large]), 422, "invalid");
});

it("a frame that is rendered again has a new preview under a new address, and the old one is swept", async () => {
  const made = await rendered(await newRender());
  await okJson(await complete(made, [made.main, made.preview]), 200);
  const key = `tasks/${made.id}/${made.lease.attempt}/${made.name}.preview.jpg`;
  expect(await env.FILES.head(key)).not.toBeNull();
  const { files_version } = await okJson(await send("GET", `/tasks/${made.id}`), 200);
  const json = { status: "requeue", frames: String(made.frame), files_version };
  expect((await send("PATCH", `/tasks/${made.id}`, { json })).status).toBe(204);
  const again = await rendered(made.id);
  expect(again.frame).toBe(made.frame);
  await okJson(await complete(again, [again.main, again.preview]), 200);
  await problem(
    await send("GET", `/tasks/${made.id}/frames/${made.frame}/preview?a=${made.lease.attempt}`),
    404,
    "not_found",
  );
  const picture = await send("GET", `/tasks/${made.id}/frames/${made.frame}/preview?a=${again.lease.attempt}`);
  expect(await picture.text()).toBe(`small ${again.lease.attempt}`);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 200_000 });
  await ring(taskStub(env, made.id));
  expect(await env.FILES.head(key)).toBeNull();
  expect(await env.FILES.head(`tasks/${made.id}/${again.lease.attempt}/${made.name}.preview.jpg`)).not.toBeNull();
});
