"""Brings a relay's tables to this program's version, and says before what that takes.

`serve` does the same when it starts; this is for operators who want to know first. Knows no table.
"""

import shutil
from typing import Final, NamedTuple

from sqlalchemy import Engine

from backchannel.server import exits, limits, stores
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.migrate import Migration, pending, revision
from backchannel.server.models import SCHEMA

_COPIES: Final = 3
"""Of the store, beside it, while its largest tables are written anew: measured, 2.95."""


class Plan(NamedTuple):
    """What an upgrade would do."""

    current: str | None
    target: str
    steps: list[Migration]
    needed: int
    """Bytes of disk that it takes meanwhile."""
    free: int | None
    """Of this machine's disk; not known of a database server's."""

    @property
    def fits(self) -> bool:
        """Whether the disk has room for it, as far as is known."""
        return self.free is None or self.needed <= self.free


def plan(home: Home) -> Plan:
    """Look, and change nothing; `OperatorError` for a store of a newer program."""
    with stores.snapshot(home) as engine:
        return _plan(home, engine)


def upgrade(home: Home) -> Plan:
    """Do it, and say what was done; refused while the relay runs, and where the disk is too small.
    A step is done whole or not at all.
    """
    home.check()
    with home.stopped():
        found = plan(home)
        if found.free is not None and not found.fits:
            message = f"an upgrade takes {found.needed >> 20} MiB, and {found.free >> 20} are free"
            raise OperatorError(message, next_="make room on the disk", code=exits.REFUSED)
        with stores.writing(home):
            pass
        stores.forget(home)
    return found


def _plan(home: Home, engine: Engine) -> Plan:
    current = revision(engine)
    steps = pending(current)
    if engine.dialect.name != "sqlite":
        return Plan(current, SCHEMA, steps, 0, None)
    size = sum(file.stat().st_size for file in home.path.glob(f"{home.database.name}*"))
    needed = _COPIES * size + limits.RESERVED if steps else 0
    return Plan(current, SCHEMA, steps, needed, shutil.disk_usage(home.path).free)
