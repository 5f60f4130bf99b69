-- Totals of the history, so that a question about a year reads a row for each day and not every
-- event (decision 018), and where the history begins, now that old events are deleted.
--
-- Only additions: the release before this step works on these tables, too. It does not count what
-- it writes, so triggers do it.

-- One row for each day that is over, packed by the daily cron (src/history/totals-store.ts). The
-- day is counted from 1970 (UTC). entries is JSON with an item for each worker:
-- [worker_id, frames, errors, lost, seconds, last_ms, [task_id, …]]; worker_id 0 stands for
-- events about a task itself. It is the last column, so that sums of days never read it.
CREATE TABLE history_days (
  day INTEGER PRIMARY KEY,
  frames INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  seconds REAL NOT NULL,
  workers INTEGER NOT NULL,        -- how many worked
  tasks INTEGER NOT NULL,          -- how many have events
  entries TEXT NOT NULL
);

-- What is not packed yet: one row for each task and day, so that a write of events of many workers
-- costs one more row. It adds to what history_days says of the day. entries is JSON with an item
-- for each worker: [worker_id, frames, errors, lost, seconds, last_ms].
CREATE TABLE history_open_days (
  day INTEGER NOT NULL,
  task_id INTEGER NOT NULL,
  through_seq INTEGER NOT NULL,    -- the last event that its writer has counted here; only ever rises
  entries TEXT NOT NULL,
  PRIMARY KEY (day, task_id)
) WITHOUT ROWID;

-- One row. from_ms: events before this instant were deleted, or are about to be; their totals stay,
-- and nothing is added to them. deletes_after_ms: nothing is deleted before this instant, so that
-- the owner of an upgraded farm has a week to choose for how long events are kept.
CREATE TABLE history_kept (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  from_ms INTEGER NOT NULL,
  deletes_after_ms INTEGER NOT NULL
);
INSERT INTO history_kept (id, from_ms, deletes_after_ms) VALUES (1, 0, (unixepoch() + 7 * 86400) * 1000);

-- Count the rows that are stored already, day by day: a sum over all of them at once would have to
-- sort all of them at once.
INSERT INTO history_open_days (day, task_id, through_seq, entries)
WITH RECURSIVE days (day) AS (
  SELECT min(from_ms) / 86400000 FROM history
  UNION ALL
  SELECT (SELECT min(from_ms) FROM history WHERE from_ms >= (days.day + 1) * 86400000) / 86400000
  FROM days WHERE days.day IS NOT NULL
)
SELECT days.day, task.value ->> 0, 0, task.value ->> 1
FROM days, json_each((
  SELECT json_group_array(json_array(task_id, json(entries))) FROM (
    SELECT task_id, json_group_array(json_array(worker, frames, errors, lost, seconds, last_ms)) AS entries FROM (
      SELECT task_id, coalesce(worker_id, 0) AS worker, sum(frames_done) AS frames, sum(frames_error) AS errors,
        sum(frames_lost) AS lost, sum(seconds) AS seconds, max(from_ms) AS last_ms
      FROM history WHERE from_ms >= days.day * 86400000 AND from_ms < (days.day + 1) * 86400000
      GROUP BY task_id, worker
    ) GROUP BY task_id
  )
)) AS task
WHERE days.day IS NOT NULL;

-- A writer that counts has raised through_seq before it writes the rows. These triggers count what
-- other writers add: the rows of the release before.
CREATE TRIGGER history_inserted AFTER INSERT ON history
WHEN NEW.from_ms >= coalesce((SELECT from_ms FROM history_kept), 0) AND NEW.through_seq > coalesce(
  (SELECT through_seq FROM history_open_days WHERE day = NEW.from_ms / 86400000 AND task_id = NEW.task_id), 0)
BEGIN
  INSERT INTO history_open_days (day, task_id, through_seq, entries)
  VALUES (NEW.from_ms / 86400000, NEW.task_id, 0, json_array(json_array(coalesce(NEW.worker_id, 0), NEW.frames_done,
    NEW.frames_error, NEW.frames_lost, NEW.seconds, NEW.from_ms)))
  ON CONFLICT (day, task_id) DO UPDATE SET entries = (
    SELECT json_group_array(json_array(worker, frames, errors, lost, seconds, last_ms)) FROM (
      SELECT value ->> 0 AS worker, sum(value ->> 1) AS frames, sum(value ->> 2) AS errors, sum(value ->> 3) AS lost,
        sum(value ->> 4) AS seconds, max(value ->> 5) AS last_ms
      FROM (SELECT value FROM json_each(history_open_days.entries)
        UNION ALL SELECT value FROM json_each(excluded.entries))
      GROUP BY worker
    )
  );
END;

CREATE TRIGGER history_grown AFTER UPDATE ON history
WHEN NEW.from_ms >= coalesce((SELECT from_ms FROM history_kept), 0) AND NEW.through_seq > coalesce(
  (SELECT through_seq FROM history_open_days WHERE day = NEW.from_ms / 86400000 AND task_id = NEW.task_id), 0)
BEGIN
  INSERT INTO history_open_days (day, task_id, through_seq, entries)
  VALUES (NEW.from_ms / 86400000, NEW.task_id, 0, json_array(json_array(coalesce(NEW.worker_id, 0),
    NEW.frames_done - OLD.frames_done, NEW.frames_error - OLD.frames_error, NEW.frames_lost - OLD.frames_lost,
    NEW.seconds - OLD.seconds, NEW.from_ms)))
  ON CONFLICT (day, task_id) DO UPDATE SET entries = (
    SELECT json_group_array(json_array(worker, frames, errors, lost, seconds, last_ms)) FROM (
      SELECT value ->> 0 AS worker, sum(value ->> 1) AS frames, sum(value ->> 2) AS errors, sum(value ->> 3) AS lost,
        sum(value ->> 4) AS seconds, max(value ->> 5) AS last_ms
      FROM (SELECT value FROM json_each(history_open_days.entries)
        UNION ALL SELECT value FROM json_each(excluded.entries))
      GROUP BY worker
    )
  );
END;
