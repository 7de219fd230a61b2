"""The relay of an operator: it keeps blocks of noise in drops, for hours, and forgets them."""
