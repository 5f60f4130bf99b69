-- What happened, for ever. One row holds the events of one worker (or of none) in one task that reached D1 together; see
-- src/history/outbox.ts for how rows are cut and why writing one twice is harmless.
--
-- Rows written are what D1 bills, and every index entry is one more: the primary key is the table itself (WITHOUT ROWID), and
-- one index serves every reading in time order. It carries worker_id so that the runs of one worker are found without
-- touching the rows of others.
CREATE TABLE history (
  task_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,            -- of the first event
  through_seq INTEGER NOT NULL,    -- of the last event: a row only ever grows
  from_ms INTEGER NOT NULL,        -- of the first event; the others are at most 60 s later, on the same UTC day
  worker_id INTEGER,               -- NULL: about the task itself
  type TEXT NOT NULL,
  frames_done INTEGER NOT NULL,
  frames_error INTEGER NOT NULL,
  frames_lost INTEGER NOT NULL,
  seconds REAL NOT NULL,
  events TEXT NOT NULL,            -- JSON array of Event (src/protocol/history.ts); last, so that sums never read it
  PRIMARY KEY (task_id, seq)
) WITHOUT ROWID;

CREATE INDEX history_by_time ON history (from_ms, task_id, seq, worker_id);
