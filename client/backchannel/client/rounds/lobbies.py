"""Asking at the lobbies where oneself waits whether the door was opened.

What a lobby says is for `joining`.
"""

from typing import final

from backchannel.client.errors import ClientError, UnknownDrop
from backchannel.client.rounds import joining
from backchannel.client.rounds.errand import Errand
from backchannel.client.rounds.fetching import Fetch
from backchannel.client.rounds.network import Network
from backchannel.client.vault.channels import JoinRow
from backchannel.client.vault.cursors import Cursor
from backchannel.protocol.drop import Page
from backchannel.protocol.outcome import Poll


@final
class Lobbies:
    """All that one waits in."""

    def __init__(self, network: Network, errand: Errand) -> None:
        self._net = network
        self._errand = errand

    def ask_all(self) -> None:
        """Ask every lobby; the first problem is raised at the end."""
        self._net.trust_clock()
        problem: ClientError | None = None
        for row in self._net.vault.joins.list():
            try:
                self.ask(row)
            except ClientError as error:
                problem = problem or error
        if problem is not None:
            raise problem

    def ask(self, row: JoinRow, wait: int = 0) -> None:
        """Ask one lobby; waits up to `wait` seconds for an answer."""
        app, vault, relays = self._net.app, self._net.vault, self._net.relays
        relays.speak_for(row.id)
        self._net.rest(())
        delivered = self._errand.deliver(row.id)
        if delivered.problem is not None:
            joining.tidy(app, vault, row.id)
            raise delivered.problem

        def take(poll: Poll, cursor: Cursor, page: Page) -> None:
            joining.take(app, vault, row.id, poll, cursor, page)

        poll, fetch = joining.poll(row), Fetch(vault, relays, app.now, take)
        fetch.run([poll], _never, {poll.drop.id}, wait)
        joining.tidy(app, vault, row.id)
        for problem in fetch.problems({poll.drop.id: poll.relay}).values():
            if not isinstance(problem, UnknownDrop):  # else its time is over
                raise problem


def _never() -> bool:
    return False
