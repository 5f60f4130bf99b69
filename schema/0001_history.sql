-- What happened, for ever. One row holds the events of one worker (or of no worker) in one task
-- that reached D1 together. src/history/outbox.ts says how events are grouped into rows, and why it
-- does no harm to write a row twice.
--
-- D1 bills the rows that are written, and each index entry counts as one more. So the primary key
-- is the table itself (WITHOUT ROWID), and one index serves every reading in time order. The index
-- has worker_id, so that the rows of one worker are found without reading those of other workers.
--
-- from_ms is the instant of the first event; all others are at most 60 s later, on the same UTC
-- day. events is a JSON array of Event (src/protocol/history.ts). It is the last column, so that
-- sums never read it.
CREATE TABLE history (
  task_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,            -- of the first event
  through_seq INTEGER NOT NULL,    -- of the last event; only ever rises
  from_ms INTEGER NOT NULL,
  worker_id INTEGER,               -- NULL: the events are about the task itself
  type TEXT NOT NULL,
  frames_done INTEGER NOT NULL,
  frames_error INTEGER NOT NULL,
  frames_lost INTEGER NOT NULL,
  seconds REAL NOT NULL,
  events TEXT NOT NULL,
  PRIMARY KEY (task_id, seq)
) WITHOUT ROWID;

CREATE INDEX history_by_time ON history (from_ms, task_id, seq, worker_id);
