-- What is said in a thread is sealed under a key of its own, too, which stands in the file of expiry keys under this name:
-- erased, it closes the thread in every copy of this database. Said in it again, it gets another.

CREATE TABLE threads (
    channel BLOB NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    thread BLOB NOT NULL CHECK (length(thread) = 16),
    name BLOB NOT NULL UNIQUE CHECK (length(name) = 16),
    PRIMARY KEY (channel, thread)
);

CREATE VIEW named_messages AS
    SELECT messages.*, threads.name FROM messages JOIN threads USING (channel, thread);
