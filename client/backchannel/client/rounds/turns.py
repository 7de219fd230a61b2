"""Taking one's turns of cover, whether or not there is anything to say, and waiting between them.
`cover` knows when they are.
"""

import time
from collections.abc import Collection
from typing import Final, final

from backchannel.client.errors import ClientError
from backchannel.client.machine.clock import elapsed
from backchannel.client.rounds import cover
from backchannel.client.rounds.errand import Errand
from backchannel.client.rounds.network import Network

_NAP: Final = 5.0  # seconds, after which a vault that was locked is noticed


@final
class Turns:
    """Of every channel that has cover."""

    def __init__(self, network: Network, errand: Errand) -> None:
        self._net = network
        self._app = network.app
        self._vault = network.vault
        self._errand = errand
        self._began = elapsed()

    def left(self, name: str) -> float | None:
        """Seconds until one's turn; none without cover."""
        about = self._vault.channels.get(name).summary
        return cover.left(about, self._app.now(), self._app.entropy)

    def take(self, name: str) -> None:
        """Take one's turn if it is due: one block to each relay, whether or not there is anything
        to say. What cannot be sent waits for the next.
        """
        if self.left(name) != 0:
            return
        with self._net.change(name) as session:
            rows = cover.claim(self._vault, session, self._app.entropy)
        if rows:
            self._net.relays.speak_for(session.row.id)
            self._errand.settle(name, self._errand.deliver_turn(rows).refused)

    def stay(self, name: str) -> None:
        """As who goes on taking them, which others over this vault need not do then."""
        cover.stays(self._vault, name, self._app.now())
        self.take(name)

    def linger(self, name: str) -> ClientError | None:
        """Take turns until a relay has all of the last errand, where nothing else here takes them;
        why none has it, if so.
        """
        waits = self._errand.waits(name)
        if waits is None or cover.runs(self._vault.channels.get(name).summary, self._app.now()):
            return waits
        self._app.ui.note(f"{waits.message} Ctrl-C leaves it there.", next=waits.next_step)
        try:
            while not self._errand.taken() and (left := self.left(name)) is not None:
                self._app.awake()
                time.sleep(min(left, 1))
                self.take(name)
        except KeyboardInterrupt:
            return self._errand.waits(name)
        return None if self._errand.taken() else self._errand.send(name)

    def pause(self, names: Collection[str], every: int) -> None:
        """Ask nobody anything until the next multiple of `every` seconds since this began, however
        long a round took; turns are taken meanwhile.
        """
        end = elapsed() + every - (elapsed() - self._began) % every
        while (rest := end - elapsed()) > 0:
            for name in names:
                self.stay(name)
            turns = [left for name in names if (left := self.left(name)) is not None]
            self._app.awake()
            time.sleep(min(rest, _NAP, *turns))
