/**
 * The tables of the registry, as a list of migration steps (`platform/sql.ts`). Written rows are
 * what an object costs, so a task's report writes one row, and index entries only when an indexed
 * column has changed (`task-index.ts`); a worker's row is written once per task switch.
 */
export const REGISTRY_SCHEMA: readonly string[] = [
  `
  -- The last id of each kind, such as 'task', 'worker' and 'token'. An id is never used again,
  -- whatever is deleted. 'epoch' is the dispatch epoch. 'retention_from_ms' is an instant: when the rule of
  -- retention was last set or shortened.
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    secret_sha256 TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    uses_left INTEGER,
    last_used_ms INTEGER,
    revoked INTEGER NOT NULL DEFAULT 0
  );

  -- offer: what dispatch must know of a worker (JSON of Offered). info: everything else that it
  -- reports (JSON of Info).
  CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    secret_sha256 TEXT NOT NULL UNIQUE,
    hostname TEXT NOT NULL,
    offer TEXT NOT NULL,
    info TEXT NOT NULL,
    granted_tags TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    draining INTEGER NOT NULL DEFAULT 0,
    said_rendering INTEGER NOT NULL DEFAULT 0,
    assigned_task INTEGER,
    registered_ms INTEGER NOT NULL,
    contact_ms INTEGER NOT NULL,
    left_ms INTEGER
  );

  -- Tasks with the same needs form a group: whoever can do one of them can do all.
  CREATE TABLE needs (id INTEGER PRIMARY KEY, signature TEXT NOT NULL UNIQUE);

  -- open: a worker could claim frames now. live: JSON [[worker, since_ms]] of the live leases.
  -- busy: there are live leases.
  CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    summary TEXT NOT NULL,
    status TEXT NOT NULL,
    type TEXT NOT NULL,
    owner TEXT NOT NULL,
    needs_id INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    claimable INTEGER NOT NULL,
    open INTEGER NOT NULL,
    kept_off TEXT NOT NULL,
    live TEXT NOT NULL,
    busy INTEGER NOT NULL
  );
  CREATE INDEX open_tasks ON tasks (needs_id, priority DESC) WHERE open = 1;
  CREATE INDEX busy_tasks ON tasks (id) WHERE busy = 1;
  CREATE INDEX tasks_by_status ON tasks (status);
  CREATE INDEX tasks_by_owner ON tasks (owner);

  -- The submitter's own ids, for as long as the task exists.
  CREATE TABLE submitted_ids (owner TEXT, task_id INTEGER, id INTEGER NOT NULL, PRIMARY KEY (owner, task_id)) WITHOUT ROWID;

  -- Idempotency keys by the id of their task. Ids rise with time, so the oldest keys come first and
  -- the cleanup reads only the rows that it removes.
  CREATE TABLE submit_keys (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (owner, key)
  );

  -- Removed tasks, for a while: a late report must not bring one back.
  CREATE TABLE removed_tasks (seq INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE, at_ms INTEGER NOT NULL);

  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  `,
  `
  -- tally: what a task had done when it last reported (JSON of TaskTotals). days: what all tasks
  -- together did on a day; the day is counted from 1970 (UTC).
  ALTER TABLE tasks ADD COLUMN tally TEXT NOT NULL DEFAULT '{"done":0,"errors":0,"lost":0,"seconds":0}';
  CREATE TABLE days (
    day INTEGER PRIMARY KEY,
    frames INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    seconds REAL NOT NULL
  );

  -- Webhooks. The secret of a hook is derived from its salt and the manager's signing key, and is
  -- stored nowhere.
  CREATE TABLE webhooks (id INTEGER PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, salt TEXT NOT NULL, created_ms INTEGER NOT NULL);

  -- next_ms: when a waiting delivery is tried (again); NULL when it is delivered or given up.
  CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    webhook INTEGER NOT NULL,
    event TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    last_try_ms INTEGER,
    next_ms INTEGER,
    response_status INTEGER,
    error TEXT
  );
  CREATE INDEX deliveries_due ON deliveries (next_ms) WHERE next_ms IS NOT NULL;
  CREATE INDEX deliveries_of ON deliveries (webhook, id);
  `,
  `
  -- wake_ms: when the task's object must wake next, as it last reported; NULL when nothing was due.
  -- owes: wake_ms is not NULL. A task of an earlier release has not said: it counts as overdue, so
  -- that it is asked.
  ALTER TABLE tasks ADD COLUMN wake_ms INTEGER;
  ALTER TABLE tasks ADD COLUMN owes INTEGER NOT NULL DEFAULT 0;
  UPDATE tasks SET wake_ms = 0, owes = 1 WHERE busy = 1 OR status IN ('waiting', 'queued', 'rendering', 'paused');
  CREATE INDEX owing_tasks ON tasks (id) WHERE owes = 1;

  -- The same of a removed task: its object deletes files, then itself. NULL when that has ended.
  ALTER TABLE removed_tasks ADD COLUMN wake_ms INTEGER;
  UPDATE removed_tasks SET wake_ms = 0;
  CREATE INDEX removals ON removed_tasks (id) WHERE wake_ms IS NOT NULL;
  `,
  `
  -- Ids that were given out and have no row in tasks yet: their objects may hold a task all the same,
  -- whose report has not come. A sweep of inputs asks them, too. at_ms: when the id was last given out.
  CREATE TABLE unreported_tasks (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
  -- Those of the release before: among the newest 1,000 ids, because all others are of removed tasks.
  INSERT INTO unreported_tasks (id, at_ms)
  WITH RECURSIVE newest (id, last) AS (
    SELECT value, value FROM counters WHERE name = 'task' AND value > 0
    UNION ALL
    SELECT id - 1, last FROM newest WHERE id > 1 AND id > last - 999
  )
  SELECT id, 0 FROM newest
  WHERE id NOT IN (SELECT id FROM tasks) AND id NOT IN (SELECT id FROM removed_tasks);
  `,
  `
  -- ended_ms: when the task ended, for lists in that order; NULL while it has not. A task of 0.1 does
  -- not say when: then the instant of its last change.
  ALTER TABLE tasks ADD COLUMN ended_ms INTEGER;
  UPDATE tasks SET ended_ms = coalesce(summary ->> '$.ended_ms', summary ->> '$.updated_ms')
  WHERE status IN ('completed', 'failed', 'canceled');
  CREATE INDEX ended_tasks ON tasks (ended_ms, id) WHERE ended_ms IS NOT NULL;
  `,
  `
  -- Workers that were removed: the history names them. removed_ms: when.
  CREATE TABLE past_workers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, removed_ms INTEGER NOT NULL);
  `,
  `
  -- The programs of workers that renew themselves, by SHA-256: which one runs since when, whether it has
  -- finished a lease, from which one the worker went back, which one it may fetch since when.
  CREATE TABLE worker_programs (
    worker INTEGER PRIMARY KEY,
    running TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    proven INTEGER NOT NULL,
    failed TEXT,
    allowed TEXT,
    allowed_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL
  );
  `,
  `
  -- chosen: the name and the tags that an admin gave the worker (JSON of Chosen); they stay whatever it reports.
  ALTER TABLE workers ADD COLUMN chosen TEXT NOT NULL DEFAULT '{}';
  `,
  `
  -- Builds of Blender that workers fetch. The archive is in the bucket, under its hash.
  CREATE TABLE blender_builds (
    version TEXT NOT NULL,
    platform TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    file_name TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_ms INTEGER NOT NULL,
    PRIMARY KEY (version, platform)
  ) WITHOUT ROWID;
  `,
];

/** Count up and answer the new value: the first is 1. */
export const NEXT_VALUE =
  "INSERT INTO counters (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value";
