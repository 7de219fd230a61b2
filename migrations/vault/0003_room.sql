-- What a room asks of the vault: which core, and which message of one's own, a request carries, so that it can be said
-- again where a drop ended meanwhile; and unattributed texts that wait, each under a key of its own that goes with it.

ALTER TABLE outbox ADD COLUMN content BLOB NOT NULL DEFAULT x'';
ALTER TABLE outbox ADD COLUMN message BLOB NOT NULL DEFAULT x'';

CREATE TABLE drafts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel BLOB NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    name BLOB NOT NULL UNIQUE CHECK (length(name) = 16),
    due INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    refused TEXT NOT NULL DEFAULT '',
    item BLOB NOT NULL
);

-- Which expiry keys are still needed is read from these alone.
DROP INDEX messages_by_end;
DROP INDEX cores_by_end;
CREATE INDEX messages_by_end ON messages (expires, stored);
CREATE INDEX cores_by_end ON cores (expires, stored);
