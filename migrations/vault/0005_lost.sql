-- Channels that a backup named, until one is admitted to them anew.

CREATE TABLE lost (
    channel BLOB PRIMARY KEY CHECK (length(channel) = 16),
    about BLOB NOT NULL
);
