"""The exit codes that a relay's commands use, out of the table shared with the other programs."""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
NETWORK: Final = 3
REFUSED: Final = 6
NOT_FOUND: Final = 9
INTERRUPTED: Final = 130
