"""Ends a relay for good: what opens its blocks is overwritten first, then all else is.

Whatever interrupts it, a second time goes on where the first stopped. Knows nothing of backups.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

from backchannel.server import exits, stores
from backchannel.server.erasing import erase
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home


def decommission(home: Home) -> Generator[str]:
    """Do it; each step is said once it is on the disk. `OperatorError` while the relay runs, and
    where there is none.
    """
    if not any(file.exists() for file in (home.config, *home.secrets)):
        message = f"there is no relay in {home.path}"
        raise OperatorError(message, next_="name its folder: --data DIR", code=exits.NOT_FOUND)
    with home.stopped():
        yield from _erased(_keys(home))
        yield from _store(home)
        yield from _erased(_rest(home))


def _erased(parts: Iterator[tuple[Path, str]]) -> Iterator[str]:
    for file, what in parts:
        if file.exists():
            erase(file)
            yield f"{file.name} is overwritten and gone: {what}"


def _keys(home: Home) -> Iterator[tuple[Path, str]]:
    yield home.places, "every block here, and in any copy of the store, opens for nobody now"
    yield home.store_key, "so is the other half of their keys"
    yield home.key, "nobody can pass for this relay any more, but who has a backup of it"


def _store(home: Home) -> Iterator[str]:
    """By the configuration, which is still there."""
    if home.config.exists():
        stores.of_home(home).destroy()
        yield "drops, vouchers and noise are gone"


def _rest(home: Home) -> Iterator[tuple[Path, str]]:
    yield home.database, "an empty store"
    yield home.address, "where it listened"
    yield home.demo_hours, "the clock of a demo"
    yield home.lock, "what kept others out meanwhile"
    yield home.config.with_name(f"{home.config.name}.new"), "what a move began to write"
    yield home.config, "what you chose"
