-- Whether a request goes after all else: a piece of a file, which fills a line for long, or what ends a drop that is to
-- take such pieces.

ALTER TABLE outbox ADD COLUMN bulk INTEGER NOT NULL DEFAULT 0 CHECK (bulk IN (0, 1));

DROP INDEX outbox_by_relay;
CREATE INDEX outbox_in_order ON outbox (owner, relay, bulk);
