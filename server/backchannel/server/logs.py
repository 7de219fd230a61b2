"""What a relay says about itself: never an address, an id, a size or the text of a foreign
exception.

Level `error` means a bug. Trouble that an operator can mend is a `warning`.
"""

import json
import logging
import sqlite3
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Final, final

LOG: Final = logging.getLogger("backchannel.relay")
_SELDOM = 60.0  # seconds: a full disk is said once a minute, not once a request


@final
class _Places(logging.Formatter):
    """One line a record. Of an exception it gives the types and places in our code, not the
    message.
    """

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        error = ei[1] if isinstance(ei, tuple) else None
        if not isinstance(error, BaseException):
            return ""
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        return f"  {type(error).__name__} at {where}"


@final
class _Documents(logging.Formatter):
    """The same, one JSON document a line."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = _Places()

    def format(self, record: logging.LogRecord) -> str:
        said = {"level": record.levelname.lower(), "message": record.getMessage()}
        bug = self._lines.formatException(record.exc_info).strip()
        return json.dumps({**said, "bug": bug} if bug else said)


@final
class _OursOnly(logging.Filter):
    """Others' words may hold what a client sent: of theirs only bugs pass, and not their words."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(LOG.name):
            return True
        record.msg, record.args = f"a bug under {record.name}", None
        return record.exc_info is not None


def configure(level: str, form: str = "text") -> None:
    """All records of this process to standard error, as `text` or as `json`: ours from `level` on,
    of others their bugs.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Documents() if form == "json" else _Places())
    handler.addFilter(_OursOnly())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    LOG.setLevel(level.upper())


@final
class _Seldom:
    """Lets one of many equal complaints pass."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def warn(self, message: str) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(message, -_SELDOM) < _SELDOM:
                return
            self._last[message] = now
        LOG.warning("%s", message)


_seldom = _Seldom()
warn_seldom = _seldom.warn


def store_trouble(error: Exception) -> None:
    """The store did not take something. SQLite's own words for it hold no values; those of others
    may.
    """
    reason = getattr(error, "orig", error)
    said = str(reason) if isinstance(reason, sqlite3.Error) else _kind(reason)
    warn_seldom(f"the store refuses: {said}; next: backchannel-relay doctor")


def _kind(error: BaseException) -> str:
    code = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} ({code})" if code else type(error).__name__
