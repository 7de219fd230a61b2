"""The relays that one command speaks to: each is connected once, and hung up at the end."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, final

from backchannel.client.app import App
from backchannel.protocol.primitives import X25519Public

if TYPE_CHECKING:
    from backchannel.client.relay import Relay


@final
class Relays:
    """By address and pinned key."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stack = ExitStack()
        self._open: dict[tuple[str, bytes], Relay] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, url: str, key: X25519Public) -> "Relay":
        """The relay at `url`, if it proves to hold `key`."""
        name = (url, key.value)
        if name not in self._open:
            self._open[name] = self._stack.enter_context(self._app.relay(url, key))
        return self._open[name]
