"""Looks for what keeps a relay from working, or from forgetting: a finding per check, and how to
mend it.

Changes nothing. Every check stands alone, so that one finding does not hide another.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from backchannel.protocol.expiry import ExpiryKeys
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import hour_of
from backchannel.server import stores
from backchannel.server.clock import Clock
from backchannel.server.errors import Doubt, OperatorError
from backchannel.server.home import Home
from backchannel.server.limits import FREE_DISK, SWEEP_EVERY
from backchannel.server.migrate import pending, revision
from backchannel.server.operate import health
from backchannel.server.operate.machine import file_system, swap, time_service
from backchannel.server.operate.reach import reach
from backchannel.server.process.sockets import listen
from backchannel.server.process.tls import days_left
from backchannel.server.settings import Settings, load, meant

_LATE: Final = 5 * SWEEP_EVERY  # seconds after an hour turned: a busy machine may miss a look


class Finding(NamedTuple):
    """How one check ended; `next` is empty when all is well, and not where it should be better."""

    name: str
    ok: bool
    detail: str
    next: str = ""


def examine(home: Home, url: str | None = None) -> Iterator[Finding]:
    """All checks, in the order in which their faults explain one another; with `url`, the relay's
    public address, the way from outside too. `OperatorError` where there is no relay to look at.
    """
    home.check_made()
    for name, check in _CHECKS.items():
        yield _found(name, partial(check, home))
    if url is not None:
        yield _found("reachable", lambda: reach(url, x25519_public(home.static_key())))


def _found(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, ok=True, detail=check())
    except OperatorError as error:
        return Finding(name, ok=isinstance(error, Doubt), detail=str(error), next=error.next)
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding too
        next_ = "mend what stands above first"
        return Finding(name, ok=False, detail=type(error).__name__, next=next_)


def _configuration(home: Home) -> str:
    _, unknown = load(home.config)
    if unknown:
        message = f"nothing knows the keys {', '.join(meant(unknown))}"
        raise OperatorError(message, next_=f"correct or delete them in {home.config}")
    return "understood"


def _permissions(home: Home) -> str:
    home.check()
    for file in (home.path, *home.secrets):
        if not os.access(file, os.R_OK | os.W_OK):
            message = f"{file} cannot be written"
            raise OperatorError(message, next_=f"chown it to the user that runs the relay: {file}")
    return "only this user reads the data directory"


def _disk(home: Home) -> str:
    free = shutil.disk_usage(home.path).free
    if free < FREE_DISK:
        message = f"{free >> 20} MiB free where {home.path} is"
        raise OperatorError(message, next_="make room, or move the data directory to a larger disk")
    return f"{free >> 20} MiB free"


def _clock(home: Home) -> str:
    keys = ExpiryKeys(home.places.read_bytes())
    now = hour_of(Clock(home.demo_hours).now())
    if now < keys.highest:
        message = f"the clock is {keys.highest - now} hours behind an hour that this relay has seen"
        raise OperatorError(message, next_="set the clock, and keep it with a time service (NTP)")
    if keys.leaps(now):
        message = f"the clock is {now - keys.highest} hours ahead of the last hour this relay saw"
        next_ = f"if it is right: backchannel-relay serve --data {home.path} --accept-clock"
        raise OperatorError(message, next_=next_)
    return "agrees with the hours this relay has seen"


def _expiry(home: Home) -> str:
    """A relay that runs looks when the hour turns, and again each minute."""
    keys = ExpiryKeys(home.places.read_bytes())
    if not home.address.exists():
        return "the relay is off, so nothing is overwritten before its next start"
    late = Clock(home.demo_hours).now() - 3600 * (keys.highest + 1)
    if late > _LATE:
        message = f"keys of what has ended were last destroyed {late // 3600 + 1} hours ago"
        next_ = "look at the relay's log for the reason; restart the relay"
        raise OperatorError(message, next_=next_)
    return "keys of what has ended are destroyed by the hour"


def _certificate(home: Home) -> str:
    return days_left(_settings_or_defaults(home.config), Clock(home.demo_hours).now())


def _key(home: Home) -> str:
    home.static_key()
    home.store_secret()
    return "readable"


def _database(home: Home) -> str:
    home.check()
    well = stores.of_home(home).check()
    with stores.snapshot(home) as engine:
        if pending(revision(engine)):
            return "of another version; serve brings it up to date (see db upgrade --plan)"
    return well


def _needs(home: Home) -> str:
    """What must be open, and to whom: the list is by these settings."""
    settings = _settings_or_defaults(home.config)
    here = settings.host in {"127.0.0.1", "::1", "localhost"}
    who = "proxy or tor on this machine" if here else "clients, by a name with an A or AAAA record"
    parts = [f"in, TCP {settings.port} for {who}", "out, what the time service uses"]
    if settings.metrics_port:
        parts.append(f"on this machine, TCP {settings.metrics_port} for monitoring")
    if settings.database:
        parts.append("out, the port of the database server")
    return "; ".join(parts)


def _new_drops(home: Home) -> str:
    if not _settings_or_defaults(home.config).new_drops:
        message = "none is made, so no channel opens, and nobody is removed from one"
        next_ = f"where that is to end: new_drops = true in {home.config}, and reload it"
        raise Doubt(message, next_=next_)
    return "are made for vouchers"


def _port(home: Home) -> str:
    if home.address.exists():
        health.ask(home)
        return "the relay answers"
    settings = _settings_or_defaults(home.config)
    listen(settings.host, settings.port).close()
    return f"port {settings.port} is free for it"


def _settings_or_defaults(config: Path) -> Settings:
    try:
        return load(config)[0]
    except OperatorError:
        return Settings()


_CHECKS: Final[dict[str, Callable[[Home], str]]] = {
    "configuration": _configuration,
    "permissions": _permissions,
    "disk": _disk,
    "file system": lambda home: file_system(home.path),
    "swap": lambda _home: swap(),
    "clock": _clock,
    "expiry": _expiry,
    "time service": lambda _home: time_service(),
    "key": _key,
    "certificate": _certificate,
    "database": _database,
    "new drops": _new_drops,
    "port": _port,
    "to be open": _needs,
}
