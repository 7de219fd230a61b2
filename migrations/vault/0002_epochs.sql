-- A channel has the clocks of several epochs. Their names stand here, since the clocks are needed before its state can be
-- read; a clock in the file of expiry keys that is not named here belongs to nobody, and is erased.

ALTER TABLE channels DROP COLUMN clock;

CREATE TABLE epochs (
    epoch BLOB PRIMARY KEY CHECK (length(epoch) = 16),
    channel BLOB NOT NULL REFERENCES channels (id) ON DELETE CASCADE
);

CREATE INDEX epochs_of_channel ON epochs (channel);
