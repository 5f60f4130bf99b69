-- Unused inputs are deleted: inputs that no task names (decision 021). Additions only: the release
-- before works on these tables, and deletes nothing.

-- 1: the object of a row that is being deleted (deleting_until_ms) is gone. The row stays for a day,
-- so that an upload that is under way learns of the deletion. It says nothing of any other row.
ALTER TABLE inputs ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;

-- Piece lists go before their pieces, so they must be found without reading all inputs. Other inputs
-- have no entry: storing one is one written row, as before.
CREATE INDEX input_lists ON inputs (used_ms) WHERE pieces IS NOT NULL;

-- One row: the run that is under way, or the last one.
CREATE TABLE input_sweep (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  deletes_after_ms INTEGER NOT NULL,      -- nothing is deleted before this instant
  run INTEGER NOT NULL DEFAULT 0,         -- its number; every statement of a run names it
  phase TEXT NOT NULL DEFAULT 'idle',     -- idle, mark (tasks are asked), delete
  started_ms INTEGER NOT NULL DEFAULT 0,
  asked_task INTEGER NOT NULL DEFAULT 0,  -- tasks up to this id were asked
  seen_input TEXT NOT NULL DEFAULT '',    -- inputs up to this SHA-256 were looked at
  seen_before_ms INTEGER NOT NULL DEFAULT 0, -- and those were deleted that were not used since then
  deleted INTEGER NOT NULL DEFAULT 0,     -- inputs, by this run
  deleted_bytes INTEGER NOT NULL DEFAULT 0,
  ended_ms INTEGER                        -- when the last run ended that did
);
-- The owner of an upgraded farm has a week to choose for how long unused inputs are kept.
INSERT INTO input_sweep (id, deletes_after_ms) VALUES (1, (unixepoch() + 7 * 86400) * 1000);
