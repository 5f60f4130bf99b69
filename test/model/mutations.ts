/**
 * Deliberate faults of one or two lines each, in the rules, and in the manager of the model. The
 * model check must find every one; a fault that it does not find is in a guard that it does not
 * test. Each text is replaced in its file, and must occur there exactly once: when the code
 * changes, this list must change with it.
 */
export interface Mutation {
  name: string;
  /** File below the root, text to be found once, and what stands there instead. */
  edits: [file: string, from: string, to: string][];
}

const CLAIM = "src/task/rules/claim.ts";
const DEPENDENCIES = "src/task/rules/dependencies.ts";
const INPUT_TASK = "src/task/rules/input-task.ts";
const SETTLE = "src/task/rules/settle.ts";
const LEASE_INDEX = "src/task/rules/lease-index.ts";
const LEDGER = "src/task/rules/ledger.ts";
const GIVE_UP = "src/task/rules/give-up.ts";
const COLOURS = "src/task/rules/strict-colours.ts";
const FAILURE = "src/task/rules/failure.ts";
const ACTIONS = "src/task/rules/user-actions.ts";
const VERSION = "src/task/rules/files-version.ts";
const ALARM = "src/task/rules/next-alarm.ts";
const SCHEDULER = "src/platform/alarm.ts";
const GARBAGE = "src/task/rules/garbage.ts";
const VERDICT = "src/task/rules/verdicts.ts";
const BLENDER = "src/task/rules/blender.ts";
const TRANSITION = "src/task/rules/transition.ts";
const CALLS = "src/task/rules/lease-calls.ts";
/** The check's imitation of the platform, and of when the object answers. */
const SHELL = "test/model/manager.ts";
const PROTOCOL = "test/model/protocol.ts";

const one = (name: string, file: string, from: string, to: string): Mutation => ({ name, edits: [[file, from, to]] });

export const MUTATIONS: Mutation[] = [
  one("claim: forget expiry", CLAIM, "  expire(t);\n  const known", "  const known"),
  one("claim: ignore the key", CLAIM, "t.ledger.leases.claimedWith(request.worker, request.key)", "undefined"),
  one("claim: answer anybody's key", LEASE_INDEX, "this.#byWorker.get(worker)?.find(", "[...this].find("),
  one("claim: reuse attempt numbers", CLAIM, "attempt: ++t.ledger.attempt", "attempt: t.ledger.leases.size + 1"),
  one("claim: never raise the attempt", CLAIM, "attempt: ++t.ledger.attempt", "attempt: t.ledger.attempt + 1"),
  one("claim: leave frames in ready", CLAIM, "  ledger.ready = minus(ledger.ready, setOf(chosen));\n", ""),
  one("claim: leave frames in retry", CLAIM, "  t.ledger.retry = minus(t.ledger.retry, setOf(again));\n", ""),
  one("claim: give out skipped frames", CLAIM, "if (!has(ledger.skipped, frame)) chosen", "chosen"),
  one("claim: count one frame per lease", CLAIM, "counts.leased += chosen.length", "counts.leased += 1"),
  one(
    "claim: lease for twice the time",
    CLAIM,
    "until_ms: t.nowMs + t.terms.leaseMs",
    "until_ms: t.nowMs + 2 * t.terms.leaseMs",
  ),
  one("claim: ignore the epoch", CLAIM, "request.epoch < t.ledger.outranked", "false"),
  one("claim: blocklist nobody", CLAIM, "if (until !== null) return", "if (until === -1) return"),
  {
    name: "claim: give out of a paused task",
    edits: [
      [CLAIM, "if (t.ledger.paused || ", "if ("],
      [LEDGER, "ledger.canceled || ledger.paused || ledger.stopped", "ledger.canceled || ledger.stopped"],
    ],
  },
  {
    name: "claim: give out of a stopped task",
    edits: [
      [CLAIM, "t.ledger.stopped !== null || isEnded(status)", 'status === "canceled" || status === "completed"'],
      [LEDGER, "ledger.paused || ledger.stopped !== null || waits", "ledger.paused || waits"],
    ],
  },
  one(
    "call: drop the lease-id check",
    SETTLE,
    "t.ledger.leases.get(ref.leaseId)",
    "[...t.ledger.leases].find((l) => l.attempt === ref.attempt)",
  ),
  one("call: drop the attempt check", SETTLE, "lease?.attempt === ref.attempt && lease.worker", "lease?.worker"),
  one("call: drop the worker check", SETTLE, " && lease.worker === ref.worker", ""),
  one(
    "renew: revive an expired lease",
    SETTLE,
    "export function renew(t: Transition, ref: LeaseRef, done: readonly RenderedFrame[]): Outcome<LiveLease> {\n  expire(t);",
    "export function renew(t: Transition, ref: LeaseRef, done: readonly RenderedFrame[]): Outcome<LiveLease> {",
  ),
  one("renew: never store it", SETTLE, " || lease.value.stored_ms - t.nowMs < t.terms.leaseMs / 2;", ";"),
  one(
    "renew: extend nothing",
    SETTLE,
    "  t.ledger.leases.change(lease.value, { until_ms: t.nowMs + t.terms.leaseMs });\n",
    "",
  ),
  one("renew: extend from the old end", SETTLE, "{ until_ms: t.nowMs + t", "{ until_ms: lease.value.until_ms + t"),
  one(
    "renew: commit before verify",
    SETTLE,
    "  if (!checked.ok) return checked;\n  commit(t, lease.value, checked.value);\n  t.ledger.leases.change",
    "  commit(t, lease.value, done.filter((d) => has(lease.value.open, d.frame)));\n  if (!checked.ok) return checked;\n  t.ledger.leases.change",
  ),
  one("complete: without all frames", SETTLE, "if (missing.length > 0)", "if (missing.length < 0)"),
  one("complete: a repetition is never known", SETTLE, "return wasCommitted(t, ref, done) ? ok", "return false ? ok"),
  one("complete: everything is a repetition", SETTLE, "return wasCommitted(t, ref, done) ? ok", "return true ? ok"),
  one("complete: nothing is a repetition of nothing", SETTLE, "    done.length > 0 &&\n", ""),
  one(
    "complete: a repetition under any attempt",
    SETTLE,
    "entry.attempt === ref.attempt && entry.worker",
    "entry.worker",
  ),
  one("complete: a repetition by any worker", SETTLE, " && entry.worker === ref.worker;", ";"),
  one("done: take a frame without a file", SETTLE, ".length < t.terms.filesPerFrame)", ".length < 0)"),
  one("done: take a frame of another lease", SETTLE, "if (!has(lease.frames, item.frame))", "if (false)"),
  one("done: take a frame twice", SETTLE, "if (seen.has(item.frame))", "if (false)"),
  one("done: commit again what is committed", SETTLE, "if (has(lease.open, item.frame)) fresh", "fresh"),
  one(
    "commit: under the newest attempt",
    SETTLE,
    "      attempt: lease.attempt,\n      worker: lease.worker,\n      seconds,",
    "      attempt: t.ledger.attempt,\n      worker: lease.worker,\n      seconds,",
  ),
  one(
    "commit: leave the frame open",
    SETTLE,
    "  t.ledger.leases.change(lease, { open: minus(lease.open, frames) });\n",
    "",
  ),
  one("commit: reset no failures", SETTLE, "  resetFailures(t.ledger, lease.worker);\n", ""),
  one("commit: do not count", SETTLE, "  t.ledger.counts.done += done.length;\n", ""),
  one(
    "fail: drop what is done",
    SETTLE,
    "  commit(t, lease.value, checked.value);\n  t.ledger.counts.leased -= failed.length;",
    "  t.ledger.counts.leased -= failed.length;",
  ),
  one(
    "fail: keep the frames that did not fail",
    SETTLE,
    '  giveBack(t, lease.value, "given back after a failure");\n',
    "",
  ),
  one("fail: record what is not open", SETTLE, "if (wrong.length > 0)", "if (false)"),
  one(
    "release: keep the frames",
    SETTLE,
    "  giveBack(t, lease.value, reason);\n  close(t, lease.value, refused.length > 0);",
    "  close(t, lease.value, refused.length > 0);",
  ),
  one("release: hold nobody off", SETTLE, "if (verdict.holdMs > 0 && open.length > 0)", "if (verdict.holdMs < 0)"),
  one("release: count no refusal", SETTLE, 'verdict.counts === "refusal" ?', 'verdict.counts === "failure" ?'),
  one(
    "release: count refused frames as leased",
    SETTLE,
    "    t.ledger.counts.leased -= size(refused);\n    t.ledger.leases.change(lease.value, { open: minus(open, refused) });\n    recordRefusals",
    "    t.ledger.leases.change(lease.value, { open: minus(open, refused) });\n    recordRefusals",
  ),
  one(
    "verdicts: count a stop as a refusal",
    VERDICT,
    'stopping: { blames: "nobody", counts: "nothing",',
    'stopping: { blames: "nobody", counts: "refusal",',
  ),
  one(
    "verdicts: fail a frame that one worker refused",
    VERDICT,
    "export const REFUSED_BY = 2;",
    "export const REFUSED_BY = 1;",
  ),
  one(
    "verdicts: let a frame be refused for ever",
    VERDICT,
    "export const REFUSED_BY = 2;",
    "export const REFUSED_BY = 9;",
  ),
  one("verdicts: hold off for as long each time", VERDICT, "firstMs * 2 ** Math.min(times, 30)", "firstMs"),
  one(
    "verdicts: blame a frame for what a worker cannot run",
    VERDICT,
    'unable: { blames: "worker", counts: "nothing",',
    'unable: { blames: "worker", counts: "refusal",',
  ),
  one(
    "refusals: count a worker twice",
    FAILURE,
    "[...new Set([...(before?.refusals ?? []), lease.worker])]",
    "[...(before?.refusals ?? []), lease.worker]",
  ),
  one(
    "refusals: forget those of other workers",
    FAILURE,
    "[...new Set([...(before?.refusals ?? []), lease.worker])]",
    "[lease.worker]",
  ),
  one(
    "refusals: forget the failures before",
    FAILURE,
    "return { failures: before?.failures ?? [], refusals,",
    "return { failures: [], refusals,",
  ),
  one("failures: forget the refusals before", FAILURE, "...(before?.refusals && { refusals: before.refusals }),", ""),
  one(
    "held off: not when all are",
    FAILURE,
    "Math.max(all ? 0 : record.kept_off_until_ms, record.held_until_ms ?? 0)",
    "all ? 0 : Math.max(record.kept_off_until_ms, record.held_until_ms ?? 0)",
  ),
  one(
    "held off: forgotten by a failure",
    FAILURE,
    "if (streak < BLOCKLIST_AFTER) return setRecord(ledger, { ...before, streak });",
    "if (streak < BLOCKLIST_AFTER) return setRecord(ledger, { ...before, streak, held_until_ms: 0 });",
  ),
  one("strict: commit one colour beside several", SETTLE, "setOf(flatAmong(t, done)) : EMPTY;", "EMPTY : EMPTY;"),
  one("strict: look at committed frames only", COLOURS, "several.has(frame) || isDone", "isDone"),
  one(
    "strict: look at the frames of the call only",
    COLOURS,
    "several.has(frame) || isDone(t, frame, false)",
    "several.has(frame)",
  ),
  one("strict: keep what is committed", SETTLE, "  if (t.terms.strict) giveUpFlat(t, framesOfColour(done));\n", ""),
  one(
    "strict: leave the frame open",
    SETTLE,
    "  t.ledger.leases.change(lease, { open: minus(lease.open, flat) });\n",
    "",
  ),
  one("strict: count the frame as leased", SETTLE, "  t.ledger.counts.leased -= size(flat);\n", ""),
  one("strict: record no failure", COLOURS, "  record(t, lease, all);\n", ""),
  one("strict: leave the garbage", COLOURS, "  discard(t, lease.attempt, all);\n", ""),
  one(
    "strict: tell nobody of what is given up",
    COLOURS,
    '  noteTask(t, "requeued", ONE_COLOUR, setOf([...flat]));\n',
    "",
  ),
  one("strict: a repeated completion is not known", SETTLE, ' || entry?.one_colour === "told";', ";"),
  one("expire: never", SETTLE, "overdue(t.nowMs)", "overdue(-1)"),
  one("expire: late", SETTLE, "overdue(t.nowMs)", "overdue(t.nowMs - t.terms.leaseMs)"),
  one("expire: early", SETTLE, "overdue(t.nowMs)", "overdue(t.nowMs + t.terms.leaseMs / 2)"),
  one(
    "expire: record a failure",
    SETTLE,
    '    giveBack(t, lease, "expired");',
    '    recordFailures(t, lease, take(lease.open, Infinity), "expired");\n    t.ledger.counts.leased -= size(lease.open);',
  ),
  one(
    "give back: lose the frames",
    SETTLE,
    "  t.ledger.ready = union(t.ledger.ready, minus(lease.open, failedBefore));\n",
    "",
  ),
  one("give back: do not count", SETTLE, "  t.ledger.counts.leased -= size(lease.open);\n  noteLease", "  noteLease"),
  one("commit: keep no sum of the stored bytes", SETTLE, "  noteStored(t.ledger, bytes);\n", ""),
  one("close: leave the lease live", SETTLE, "  t.ledger.leases.end(lease);\n", ""),
  one(
    "close: end every lease",
    SETTLE,
    "t.ledger.leases.end(lease)",
    "for (const one of t.ledger.leases) t.ledger.leases.end(one)",
  ),
  one("close: note no end", SETTLE, "  noteEnd(t);\n}\n\n/** Put", "}\n\n/** Put"),
  one("close: leave the garbage", SETTLE, "if ((failed || lease.open.length > 0) && ", "if (t.nowMs < 0 && "),
  one(
    "close: delete garbage before the grant is over",
    SETTLE,
    "lease.until_ms + Math.ceil(t.terms.leaseMs / 2), t.nowMs",
    "lease.until_ms, t.nowMs",
  ),
  one("cancel: leave leases live", ACTIONS, '  cancelLeases(t, "canceled");\n', ""),
  one(
    "cancel: tell nobody",
    SETTLE,
    "  t.effects.canceled.push({ worker_id: lease.worker, lease_id: lease.lease_id });\n",
    "",
  ),
  one("requeue: leave the frame's entry", GIVE_UP, "    table.set(frame, left(entry));\n", ""),
  one("requeue: leave all entries", ACTIONS, "  allFrames.clear();\n", ""),
  one("requeue: give a frame out twice", ACTIONS, "setOf(again.filter((frame) => wasReached(t, frame)))", "set"),
  one("requeue: delete the whole attempt", GIVE_UP, "only: true as const, ", ""),
  one("requeue: leave the garbage", GIVE_UP, "  t.ledger.sweeps = [...t.ledger.sweeps, garbage];\n", ""),
  one("give up: count the frames as done", GIVE_UP, "    ledger.counts.done--;\n", ""),
  one(
    "requeue: keep the bytes of given-up frames",
    GIVE_UP,
    "    bytes -= countedBytes(ledger, frame, entry.files);\n",
    "",
  ),
  one("requeue: keep the bytes of all frames", ACTIONS, "  noteStored(ledger, 0, null);\n", ""),
  one(
    "requeue: stay canceled",
    ACTIONS,
    'return tooScattered("failed frames", "status");\n  ledger.canceled = false;',
    'return tooScattered("failed frames", "status");',
  ),
  one(
    "requeue all: stay canceled",
    ACTIONS,
    "  if (!allowed.ok) return allowed;\n  ledger.canceled = false;\n",
    "  if (!allowed.ok) return allowed;\n",
  ),
  one("requeue: lose the failed frames", ACTIONS, "  ledger.retry = EMPTY;\n  ledger.ready = ready;\n", ""),
  one(
    "requeue: take finished frames without a word of them",
    ACTIONS,
    "  if (!hasFailed(t))",
    '  if (statusOf(t.terms, ledger) === "completed") return requeueAll(t, allFrames, filesVersion(ledger), actor);\n  if (!hasFailed(t))',
  ),
  one("requeue: carry out what there is nothing of", ACTIONS, "if (!hasFailed(t))", "if (t.nowMs < 0)"),
  one("requeue: refuse a canceled task", ACTIONS, 'return status !== "completed";', 'return status === "failed";'),
  one(
    "requeue: take named frames that were not seen",
    ACTIONS,
    "  const allowed = mayGiveUp(t, finished, seen);\n  if (!allowed.ok) return allowed;\n",
    "",
  ),
  one(
    "requeue: take all frames that were not seen",
    ACTIONS,
    "  const allowed = mayGiveUp(t, ledger.counts.done, seen);\n  if (!allowed.ok) return allowed;\n",
    "",
  ),
  one(
    "requeue: believe a stale page",
    VERSION,
    'version.split(".")[0] === String(tally.done)',
    "version !== String(tally.done)",
  ),
  one(
    "requeue: need no version",
    ACTIONS,
    "(seen !== undefined && hasSeenAll(ledger, seen))",
    "seen === undefined || hasSeenAll(ledger, seen)",
  ),
  one(
    "requeue: take leased frames, too",
    ACTIONS,
    '!["leased", "pending"].includes(stateOf(t, frame))',
    'stateOf(t, frame) !== "pending"',
  ),
  one("skip: take leased frames, too", ACTIONS, 'state === "leased" || state === "done").map', 'state === "done").map'),
  one("skip: leave frames in ready", ACTIONS, "  ledger.ready = minus(ledger.ready, set);\n", ""),
  one("skip: note the end again", ACTIONS, "if (statusOf(t.terms, ledger) !== before) noteEnd(t);", "noteEnd(t);"),
  one(
    "failures: final after the tries, whoever tried",
    FAILURE,
    "(times >= tries && failures.length >= Math.min(tries, ableWorkers))",
    "times >= tries",
  ),
  one("failures: never final", FAILURE, "return failures.length >= tries || (", "return times < 0 && ("),
  one("failures: do not count", FAILURE, "id === worker ? count + 1 : count", "id === worker ? count : count"),
  one("failures: do not count the failed", FAILURE, "  ledger.counts.failed += stopped.length;\n", ""),
  one("failures: do not try again", FAILURE, "  ledger.retry = union(ledger.retry, setOf(again));\n", ""),
  one("alarm: forget leases", ALARM, "let nextMs = due.leases.notBeforeMs;", "let nextMs = Infinity;"),
  one(
    "alarm: forget garbage",
    ALARM,
    "  for (const { due_ms } of due.sweeps) nextMs = Math.min(nextMs, due_ms);\n",
    "",
  ),
  {
    name: "alarm: the latest instead of the earliest",
    edits: [
      [ALARM, "let nextMs = due.leases.notBeforeMs;", "let nextMs = -due.leases.notBeforeMs;"],
      [ALARM, "Math.min(nextMs, due_ms)", "Math.max(nextMs, due_ms)"],
      [ALARM, "Math.min(nextMs, dueMs)", "Math.max(nextMs, dueMs)"],
      [ALARM, "nextMs === Infinity ? null", "nextMs === -Infinity ? null"],
    ],
  },
  one("garbage: keep nothing", GARBAGE, "keep.add(file.name)", "keep.delete(file.name)"),
  one(
    "object: do not know a repeated settlement by its next lease",
    CALLS,
    "next !== null && t.ledger.leases.claimedWith(",
    "next === undefined && t.ledger.leases.claimedWith(",
  ),
  one("object: store nothing", SHELL, "      after.stored = memory;\n", ""),
  one("object: do not store a claim", CALLS, "return claimed.lease !== null && claimed.fresh ?", "return false ?"),
  one(
    "object: do not store expiry with a refusal",
    TRANSITION,
    "(outcome.ok && outcome.changed) || effects.expired",
    "outcome.ok && outcome.changed",
  ),
  one(
    "object: restore a longer lease",
    SHELL,
    "    const after = { ...world, memory: stored, stored, pending",
    "    for (const lease of stored.ledger.leases) lease.until_ms += this.terms.leaseMs;\n    const after = { ...world, memory: stored, stored, pending",
  ),
  one(
    "object: keep a later alarm",
    SCHEDULER,
    "if (armedMs === null || armedMs > atMs) return atMs;",
    "if (armedMs === null) return atMs;",
  ),
  one(
    "object: arm no alarm",
    SCHEDULER,
    "if (armedMs === null || armedMs > atMs) return atMs;",
    "if (armedMs === null || armedMs > atMs) return null;",
  ),
  one(
    "object: wait for a lost alarm for ever",
    SCHEDULER,
    "dueMs <= nowMs && armedMs > nowMs - lateMs",
    "dueMs <= nowMs",
  ),
  one(
    "object: read without looking after the alarm",
    SHELL,
    "return this.#armed(this.write(world));",
    "return this.write(world);",
  ),
  one(
    "object: restart without looking after the alarm",
    SHELL,
    "return aboutToRing ? after : this.#armed(after);",
    "return after;",
  ),
  one("group commit: answer before it is written", PROTOCOL, "after.pending ? { carriedOut: done } : null", "null"),
  one(
    "group commit: answer after it was lost",
    SHELL,
    "worker.waits ? { ...worker, waits: null, reply: null }",
    "worker.waits ? { ...worker, waits: null }",
  ),
  one(
    "group commit: arm no alarm for it",
    SHELL,
    "return this.#armed(after);\n  }\n\n  /**\n   * The object is gone",
    "return after;\n  }\n\n  /**\n   * The object is gone",
  ),
  one(
    "group commit: lose what it holds when it is written",
    SHELL,
    "const after = { ...world, memory, stored: memory, pending: false",
    "const after = { ...world, memory, pending: false",
  ),
  one("taken back: give a held frame out", CLAIM, "take(minus(ledger.ready, held), want)", "take(ledger.ready, want)"),
  one("taken back: count held frames as work", LEDGER, "size(minus(ledger.ready, held))", "size(ledger.ready)"),
  one("taken back: hold nothing", LEDGER, "(closed ? union(held, closed) : held)", "held"),
  one("taken back: never open again", DEPENDENCIES, "minus(union(closed, taken), done)", "union(closed, taken)"),
  one(
    "taken back: let leases of it go on",
    DEPENDENCIES,
    "  endLeasesOf(t, taken, `task ${progress.id} has taken its frames back`);\n",
    "",
  ),
  one("taken back: end every lease", SETTLE, "if (intersect(lease.open, frames).length > 0) takeAway", "takeAway"),
  one(
    "taken back: do not tell the worker",
    SETTLE,
    "  t.effects.canceled.push({ worker_id: lease.worker, lease_id: lease.lease_id });\n  giveBack(t, lease, reason);\n  close(t, lease);\n}",
    "  giveBack(t, lease, reason);\n  close(t, lease);\n}",
  ),
  one("taken back: take an older word", DEPENDENCIES, '"same" && progress.version >= dependency.version)', '"same")'),
  one("taken back: take an entry again", DEPENDENCIES, ".filter(({ version }) => version > dependency.version)", ""),
  one("taken back: tell nothing as out of date", DEPENDENCIES, "minus(intersect(taken, reached), isPending)", "EMPTY"),
  one(
    "taken back: tell frames that wait as out of date",
    DEPENDENCIES,
    "const frames = minus(outdated, isPending);",
    "const frames = outdated;",
  ),
  one("taken back: out of date for ever", CLAIM, "  noteGivenOut(t.ledger, frames);\n", ""),
  one(
    "blender: give to any worker",
    CLAIM,
    "blenderToUse(t.terms, t.ledger, request.blenders ?? [], request.fetchable)",
    "request.blenders?.[0]",
  ),
  one(
    "blender: take the worker's default",
    BLENDER,
    "return blenderFor(need, has) ?? blenderFor(need, fetchable) ?? null;",
    "return has[0];",
  ),
  one(
    "blender: ignore what the task is bound to",
    BLENDER,
    "need = boundBlender(ledger) ?? blender;",
    "need = blender;",
  ),
  one("blender: bind to nothing", CLAIM, "    bindBlender(t.terms, t.ledger, blender);\n", ""),
  one(
    "blender: bind to the first one for ever",
    BLENDER,
    "minor !== undefined) ledger.bound",
    "ledger.bound_blender === undefined) ledger.bound",
  ),
  one(
    "blender: bound for ever",
    BLENDER,
    "return counts.done > 0 || leases.size > 0 ? bound_blender : undefined;",
    "return bound_blender;",
  ),
  one("blender: not bound by a lease", BLENDER, "counts.done > 0 || leases.size > 0 ?", "counts.done > 0 ?"),
  one("blender: not bound by a done frame", BLENDER, "counts.done > 0 || leases.size > 0 ?", "leases.size > 0 ?"),
  one("blender: a lease without a version", CLAIM, "    lease.blender = blender;\n", ""),
  one(
    "blender: commit without a version",
    SETTLE,
    "...(lease.blender !== undefined && { blender: lease.blender }),",
    "",
  ),
  one(
    "blender: tell the registry what was submitted",
    BLENDER,
    "return bound === undefined ? needs : { ...needs, blender: bound };",
    "return needs;",
  ),
  one("input task: a lease without a version", CLAIM, "if (source !== undefined) lease.source = source;", ""),
  one(
    "input task: let leases of another version go on",
    SETTLE,
    "if (source !== undefined && lease.source === source) continue;",
    "if (source !== undefined) continue;",
  ),
  one(
    "input task: complete without asking",
    CALLS,
    "  if (source) takeProgress(t, source);\n  const repeated",
    "  const repeated",
  ),
  one(
    "input task: renew without asking",
    CALLS,
    "  if (source) takeProgress(t, source);\n  return renew",
    "  return renew",
  ),
  one(
    "input task: claim without asking",
    CALLS,
    "  if (source) takeProgress(t, source);\n  const claimed",
    "  const claimed",
  ),
  one("input task: note no version", SETTLE, "t.ledger.made_from = lease.source;", "void 0;"),
  one("input task: nothing is out of date", INPUT_TASK, "return isOlder ? terms.inputTask : null;", "return null;"),
  one(
    "input task: take the files of an older word",
    DEPENDENCIES,
    "progress.version >= dependency.version && progress.files_version !== undefined",
    "progress.files_version !== undefined",
  ),
  one("input task: take an older word", DEPENDENCIES, "if (progress.version > dependency.version) {", "if (true) {"),
  one(
    "input task: write nothing of what was said",
    INPUT_TASK,
    "  if (JSON.stringify(dependency) !== before) t.effects.expired = true;\n",
    "",
  ),
  one("scene at fault: go on", FAILURE, "    ledger.stopped ??= verdict.stops;\n    return;\n", "    return;\n"),
  one(
    "scene at fault: blame the worker",
    FAILURE,
    "    ledger.stopped ??= verdict.stops;\n    return;\n",
    "    ledger.stopped ??= verdict.stops;\n",
  ),
  one(
    "scene at fault: after a good frame, too",
    SETTLE,
    'fault === "scene" && t.ledger.counts.done === 0;',
    'fault === "scene";',
  ),
  one(
    "scene at fault: not when it fails alone",
    SETTLE,
    'fault === "scene" && t.ledger.counts.done === 0;',
    'fault === "scene" && t.ledger.counts.done > 0;',
  ),
  one(
    "scene at fault: whatever the worker says",
    SETTLE,
    'fault === "scene" && t.ledger.counts.done',
    "t.ledger.counts.done",
  ),
];
