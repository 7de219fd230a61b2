"""SQLite as a relay's store: one file, which one process writes."""
