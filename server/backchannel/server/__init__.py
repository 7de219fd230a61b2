"""The relay that an operator runs: it keeps blocks of noise in drops, for hours, and forgets them."""
