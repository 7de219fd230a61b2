"""The thin HTTP edge: bodies in, answers out. No rule of the relay stands here."""
