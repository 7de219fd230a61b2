"""Makes a relay: its settings, its keys, its store. All of it, or nothing is left."""

from collections.abc import Callable

from sqlalchemy import Connection, select

from backchannel.protocol.expiry import ExpiryKeys
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import hour_of
from backchannel.server import exits, stores
from backchannel.server.clock import Clock
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.limits import PLACES
from backchannel.server.models import Drop, Voucher
from backchannel.server.settings import Settings, load, template
from backchannel.server.sqlite.file import SqliteStore


def make(home: Home) -> X25519Public:
    """A new relay and its public key; `OperatorError` where there is one, or no place for one."""
    return build(home, X25519Private(SystemEntropy().draw(32)), template())


def build(
    home: Home,
    key: X25519Private,
    settings: str,
    fill: Callable[[Connection], None] | None = None,
) -> X25519Public:
    """A relay of that key, in whose store is what `fill` puts there; blocks will be sealed under
    keys of its own. Its key is written last: without it nothing is served.
    """
    home.make()
    try:
        _write(home, settings)
        if fill is not None:
            _fill(home, fill)
        home.write(home.key, key.expose().hex().encode("ascii") + b"\n")
    except BaseException:
        home.clear()
        raise
    return x25519_public(key)


def _write(home: Home, settings: str) -> None:
    entropy = SystemEntropy()
    home.write(home.config, settings.encode("utf-8"))
    home.write(home.store_key, entropy.draw(32).hex().encode("ascii") + b"\n")
    hour = hour_of(Clock(home.demo_hours).now())
    home.write(home.places, ExpiryKeys.new(hour, PLACES, entropy))
    home.write(home.database, b"")
    local = SqliteStore(home.database)
    with stores.changing(local):
        pass
    stores.forget_log(local)


def _fill(home: Home, fill: Callable[[Connection], None]) -> None:
    """Where the settings say, and nobody else has anything."""
    chosen = stores.of(home, _settings(home))
    with stores.changing(chosen) as connection:
        if any(connection.scalar(select(column).limit(1)) for column in (Drop.id, Voucher.digest)):
            message = "the database that relay.toml names is in use: another relay's, or this one's"
            next_ = "empty it, or name another: BACKCHANNEL_RELAY_DATABASE, later in relay.toml"
            raise OperatorError(message, next_=next_, code=exits.REFUSED)
        fill(connection)
    stores.forget_log(chosen)


def _settings(home: Home) -> Settings:
    """Of an older program, some of them may be none any more: `check` says so, later."""
    try:
        return load(home.config)[0]
    except OperatorError:
        return Settings()
