-- Which relays failed lately, how often, and until when they are left alone, in seconds; and whether a relay has what a
-- message of one's own is made of, while others are still owed it.

CREATE TABLE health (
    relay TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    first INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    until INTEGER NOT NULL,
    why TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE outbox ADD COLUMN taken INTEGER NOT NULL DEFAULT 0 CHECK (taken IN (0, 1));

CREATE INDEX outbox_by_relay ON outbox (owner, relay);
CREATE INDEX outbox_by_message ON outbox (message, relay) WHERE message != x'';
