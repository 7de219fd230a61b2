-- What one person keeps. Times are whole hours since 1970 (UTC). Contents that expire are sealed once more, under keys
-- that stand outside this database.

CREATE TABLE store (
    key BLOB NOT NULL CHECK (length(key) = 32)
);

CREATE TABLE channels (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    clock BLOB NOT NULL CHECK (length(clock) = 16),
    state BLOB NOT NULL,
    summary BLOB NOT NULL
);

CREATE TABLE joins (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    relay TEXT NOT NULL,
    alias TEXT NOT NULL,
    state BLOB NOT NULL,
    summary BLOB NOT NULL
);

CREATE TABLE cursors (
    relay TEXT NOT NULL,
    drop_id BLOB NOT NULL CHECK (length(drop_id) = 16),
    position INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    PRIMARY KEY (relay, drop_id)
) WITHOUT ROWID;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    relay TEXT NOT NULL,
    relay_key BLOB NOT NULL CHECK (length(relay_key) = 32),
    drop_id BLOB NOT NULL CHECK (length(drop_id) = 16),
    access BLOB NOT NULL CHECK (length(access) = 32),
    operation INTEGER NOT NULL,
    payload BLOB NOT NULL,
    label TEXT NOT NULL,
    created INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE messages (
    channel BLOB NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    content BLOB NOT NULL CHECK (length(content) = 32),
    message BLOB NOT NULL CHECK (length(message) = 16),
    author INTEGER NOT NULL,
    thread BLOB NOT NULL CHECK (length(thread) = 16),
    hour INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    item BLOB NOT NULL,
    PRIMARY KEY (channel, content),
    UNIQUE (channel, author, message)
);

CREATE INDEX messages_in_order ON messages (channel, hour, rank, content);
CREATE INDEX messages_by_end ON messages (expires);

CREATE TABLE cores (
    channel BLOB NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    content BLOB NOT NULL CHECK (length(content) = 32),
    stored INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    item BLOB NOT NULL,
    PRIMARY KEY (channel, content)
);

CREATE INDEX cores_by_end ON cores (expires);

CREATE TABLE vouchers (
    id INTEGER PRIMARY KEY,
    relay TEXT NOT NULL,
    voucher BLOB NOT NULL UNIQUE CHECK (length(voucher) = 16),
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent IN (0, 1))
);
