-- The index of inputs: a row for each input that is stored in R2 under `assets/<sha256>`. One query
-- says which of thousands of files are there, where R2 would be asked for each of them. Decision 019
-- says how it stays true, and what a later sweep does with it.
--
-- D1 bills the rows that are written, and each index entry counts as one more. So the primary key
-- is the table itself (WITHOUT ROWID), and there is no other index: storing an input is one row.
CREATE TABLE inputs (
  sha256 TEXT NOT NULL PRIMARY KEY,  -- lower-case hexadecimal, as in the key of the object
  size INTEGER NOT NULL,             -- bytes
  stored_ms INTEGER NOT NULL,        -- when it was stored
  used_ms INTEGER NOT NULL,          -- when it was last named; may be a day behind
  deleting_until_ms INTEGER          -- NULL: it is there; else until when a sweep may delete it
) WITHOUT ROWID;

-- How far the inputs of a farm that had no index have been put into it, in the order of their keys.
CREATE TABLE inputs_fill (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  after TEXT NOT NULL,               -- inputs up to this SHA-256 are in the index
  complete INTEGER NOT NULL          -- 1: all inputs are
);

INSERT INTO inputs_fill (id, after, complete) VALUES (1, '', 0);
