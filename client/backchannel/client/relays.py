"""The relays that one command speaks to: each is connected once, and is the one that was trusted
before.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, final

from backchannel.client.app import App
from backchannel.client.errors import RelayError, RelayKeyChanged
from backchannel.client.summary import pins
from backchannel.protocol.primitives import X25519Public

if TYPE_CHECKING:
    from backchannel.client.relay import Relay
    from backchannel.client.vault.vault import Vault


@final
class Relays:
    """By address and pinned key."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stack = ExitStack()
        self._open: dict[tuple[str, bytes], Relay] = {}
        self._down: dict[str, RelayError] = {}
        self._owner = b""

    def speak_for(self, owner: bytes) -> None:
        """What follows is for this channel or join: a connection that served another is closed, or
        a relay could tell that both are one person's.
        """
        if owner != self._owner:
            self.close()
            self._open.clear()
            self._owner = owner

    def down(self, url: str, error: RelayError) -> None:
        """Do not wait for this one again, for now."""
        self._down[url] = error

    def forgive(self) -> None:
        """Try all of them again."""
        self._down.clear()

    def close(self) -> None:
        """Hang up everywhere."""
        self._stack.close()

    def get(self, url: str, key: X25519Public) -> "Relay":
        """The relay at `url`, if it proves to hold `key`; what it failed with, if it is down."""
        if url in self._down:
            raise self._down[url]
        name = (url, key.value)
        if name not in self._open:
            self._open[name] = self._stack.enter_context(self._app.relay(url, key))
        return self._open[name]

    def another(self, url: str, key: X25519Public) -> "Relay":
        """The same relay over connections of their own, for a `with`: it cannot say by these who
        asked.
        """
        if url in self._down:
            raise self._down[url]
        return self._app.relay(url, key)


def refuse_other_key(vault: "Vault", url: str, key: bytes) -> None:
    """`RelayKeyChanged` where another key was trusted at that address."""
    summaries = [row.summary for row in vault.channels.list()]
    summaries += [row.summary for row in vault.joins.list()]
    summaries += [row.about for row in vault.lost.list()]
    if pins(summaries).get(url, key.hex()) != key.hex():
        msg = f"{url} has another key than the one you trusted. Nothing was done."
        raise RelayKeyChanged(msg)
