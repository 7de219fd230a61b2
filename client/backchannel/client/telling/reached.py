"""How far what oneself said has come: queued, at a relay, or seen. From the outbox and the record
alone: nobody is asked, and nobody tells.
"""

from typing import Literal, final

from backchannel.client.vault.messages import Message
from backchannel.client.vault.vault import Vault
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ContentHash

Reached = Literal["", "queued", "at-relay", "seen"]
"""Empty for what others said. Seen: a post of another member stands on it in the record, which
every post shows of what its author had by then. That it is not seen means nothing: whoever says
nothing shows nothing, and a private note stands in no record.
"""
SHOWN: dict[Reached, str] = {"queued": "queued", "at-relay": "at relay", "seen": "seen"}


def seen(state: ChannelState) -> set[ContentHash]:
    """What another member has said something since, and had by then."""
    record = state.transcript
    return record.past(core for core, post in record.posts.items() if post.author != state.me)


@final
class Ways:
    """Of all messages of one channel, as things stand."""

    def __init__(self, vault: Vault, state: ChannelState) -> None:
        self._me = state.me
        self._seen = seen(state)
        self._queued = vault.outbox.queued(state.id)

    def of(self, message: Message) -> Reached:
        """How far one has come."""
        if message.author != self._me:
            return ""
        if message.content in self._seen:
            return "seen"
        return "queued" if message.id in self._queued else "at-relay"
