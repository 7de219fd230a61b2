"""Where the relay's time comes from: the system's clock, moved by whole hours in the folders that a
demo made.

The only place that reads a clock. Nobody else knows whether a demo runs.
"""

import os
import time
from pathlib import Path
from typing import final

from backchannel.protocol.types import Timestamp


@final
class Clock:
    """The time by the system, plus the whole hours that stand in the file `demo`, if there is one.

    The file is read again whenever it changed, so that a running relay follows.
    """

    def __init__(self, demo: Path) -> None:
        self._demo = demo
        self._file = str(demo)
        self._changed = 0
        self._ahead = 0

    def now(self) -> Timestamp:
        """Whole seconds since 1970-01-01T00:00Z."""
        self._follow()
        return Timestamp(int(time.time()) + 3600 * self._ahead)

    def _follow(self) -> None:
        try:
            changed = os.stat(self._file).st_mtime_ns  # noqa: PTH116 - each request asks
            if changed != self._changed:
                self._ahead, self._changed = int(self._demo.read_text("ascii")), changed
        except (OSError, ValueError):
            return  # none, or half written: the next call reads it
