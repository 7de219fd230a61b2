"""Asks the relay that runs in a data directory whether it works, the way a client would."""

from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import Hour
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.operate.asking import Address

_SECONDS = 5


def ask(home: Home) -> Hour:
    """The relay's hour; `OperatorError` unless a relay with this directory's key answers."""
    where = address(home)
    try:
        said = where.ask("/v1/relay", seconds=_SECONDS)
    except OperatorError as error:
        message = f"the relay does not answer: {error}"
        next_ = f"look at what it wrote, then: backchannel-relay serve --data {home.path}"
        raise OperatorError(message, next_=next_) from None
    description = said.json()
    hour, key = description.get("hour"), description.get("static_key")
    if said.status == 503:
        message = "the relay answers that it is busy"
        raise OperatorError(message, next_=f"backchannel-relay doctor --data {home.path}")
    if key != x25519_public(home.static_key()).value.hex() or not isinstance(hour, int):
        message = "something else answers at this relay's address"
        raise OperatorError(message, next_=f"backchannel-relay doctor --data {home.path}")
    return Hour(hour)


def address(home: Home) -> Address:
    """Where it listens; `OperatorError` where it does not run."""
    home.check_made()
    try:
        return Address(home.address.read_text("utf-8").strip(), own=True)
    except OSError:
        message = f"no relay runs in {home.path}"
        next_ = f"backchannel-relay serve --data {home.path}"
        raise OperatorError(message, next_=next_) from None
