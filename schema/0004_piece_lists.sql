-- A file above 32 MiB is stored as pieces, which are inputs, and a piece list, which is an input,
-- too: a text that names the pieces (decision 020). These columns are filled for piece lists only.
-- Additions only: the release before works on this table.
ALTER TABLE inputs ADD COLUMN whole_size INTEGER;  -- bytes of the whole file; NULL: no piece list
ALTER TABLE inputs ADD COLUMN pieces TEXT;         -- JSON array with the SHA-256 of each piece
