"""Makes a relay: its settings, its keys, its empty store; and later its vouchers."""

from backchannel.protocol.expiry import ExpiryKeys
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.types import hour_of
from backchannel.server import database, service
from backchannel.server.clock import Clock
from backchannel.server.entropy import SystemEntropy
from backchannel.server.home import Home
from backchannel.server.limits import PLACES
from backchannel.server.migrate import migrate
from backchannel.server.repository import Repository
from backchannel.server.settings import template


def make(home: Home) -> X25519Public:
    """A new relay and its public key; `OperatorError` where there is one, or no place for one."""
    entropy = SystemEntropy()
    home.make()
    home.write(home.key, entropy.draw(32).hex().encode("ascii") + b"\n")
    home.write(home.store_key, entropy.draw(32).hex().encode("ascii") + b"\n")
    hour = hour_of(Clock(home.demo_hours).now())
    home.write(home.places, ExpiryKeys.new(hour, PLACES, entropy))
    home.write(home.database, b"")
    engine = database.open_writer(home.database)
    migrate(engine)
    database.checkpoint(engine)
    engine.dispose()
    home.write(home.config, template().encode("utf-8"))
    return x25519_public(home.static_key())


def mint(home: Home, count: int) -> list[str]:
    """`count` vouchers, on the disk when this returns. The relay may be running."""
    home.check()
    engine = database.open_writer(home.database)
    try:
        with database.usable(home.database):
            migrate(engine)
            with engine.begin() as connection:
                return service.mint(Repository(connection), count, SystemEntropy())
    finally:
        engine.dispose()
