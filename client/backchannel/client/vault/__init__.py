"""The vault: all that one person keeps, under a passphrase, and the keys that die beside it."""
