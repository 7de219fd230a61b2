"""How a vault comes open: by a passphrase, an agent that holds the key, or in memory alone."""
