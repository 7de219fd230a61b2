"""PostgreSQL as a relay's store: for many workers, and many machines."""
