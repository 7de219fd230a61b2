-- The moment, in seconds, before which a relay asked not to be asked again: for a request, and for reading on.

ALTER TABLE outbox ADD COLUMN after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursors ADD COLUMN after INTEGER NOT NULL DEFAULT 0;
