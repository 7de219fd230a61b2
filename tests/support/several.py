"""A channel on three relays of its own, each a process, that a test may stop, freeze and start."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Timer

from backchannel.client.wire.relay import describe
from backchannel.protocol import command
from backchannel.protocol.roster import Relay as Named
from tests.support.clients import Client, Party, party
from tests.support.relay import RelayProcess, running_relay

_MOST = 50  # seconds: less than a client would wait where it must


@dataclass
class Several:
    """The people, and the relays in the order of the roster."""

    party: Party
    relays: list[RelayProcess]

    @property
    def fox(self) -> Client:
        return self.party.clients["Fox"]

    @property
    def heron(self) -> Client:
        return self.party.clients["Heron"]

    @property
    def urls(self) -> list[str]:
        return [relay.url for relay in self.relays]

    def come_back(self, number: int) -> None:
        """A relay that was stopped serves again, at the address that it had."""
        relay = self.relays[number]
        relay.start("--port", relay.url.rpartition(":")[2])


@dataclass
class Frozen:
    """A relay that takes connections and says nothing."""

    waited: bool = False
    """Whether somebody waited for it so long that it was let go on."""


@contextlib.contextmanager
def frozen(relay: RelayProcess) -> Iterator[Frozen]:
    """For whoever does not wait for it: after a minute it goes on, so that a test ends."""
    assert relay.process is not None
    process, made = relay.process, Frozen()

    def thaw() -> None:
        made.waited = True
        process.send_signal(signal.SIGCONT)

    timer = Timer(_MOST, thaw)
    process.send_signal(signal.SIGSTOP)
    timer.start()
    try:
        yield made
    finally:
        timer.cancel()
        process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def swallowed(relay: RelayProcess) -> Iterator[None]:
    """Whoever connects hears nothing at all: its queue is full, and nobody takes from it."""
    relay.stop()
    port = int(relay.url.rpartition(":")[2])
    with socket.socket() as listening, contextlib.ExitStack() as callers:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(0)
        for _ in range(4):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        try:
            yield
        finally:
            callers.close()
            listening.close()
            relay.start("--port", str(port))


@contextlib.contextmanager
def several(*guests: str, count: int = 3, vouchers: int = 8) -> Iterator[Several]:
    """Fox and some guests, settled on so many relays."""
    with party(*guests, vouchers=vouchers) as made, contextlib.ExitStack() as stack:
        more = [stack.enter_context(running_relay()) for _ in range(count - 1)]
        relays, fox = [made.relay, *more], made.clients["Fox"]
        with fox.vault.exclusive(fox.tools.now()), fox.vault.transaction():
            for relay in more:
                fox.vault.vouchers.add_many(relay.url, relay.mint(vouchers))
        keys = [describe(relay.url, allow_http=True).key.value for relay in relays]
        named = tuple(Named(relay.url, key) for relay, key in zip(relays, keys, strict=True))
        fox.act(command.SetRelays(named))
        made.settle()
        assert all(client.look().state.relays == named for client in made.clients.values())
        yield Several(made, relays)
