"""Another member, as this one knows it: what stands between the two, and what is due."""

import msgspec

from backchannel.protocol.identity import Bundle
from backchannel.protocol.line import Line
from backchannel.protocol.sender_key import PeerGeneration
from backchannel.protocol.types import ContentHash, GenerationId, Hour, Step


class Greeting(msgspec.Struct, frozen=True, array_like=True):
    """One's own intro that nobody answered yet."""

    hash: ContentHash
    made: Hour
    posted: Hour
    times: int
    replaced: bool = False


class Peer(msgspec.Struct, array_like=True):
    """Another entry, as this member knows it."""

    bundle: Bundle
    to_greet: bool = False
    """Whether it was there before me: who comes greets."""
    line: Line | None = None
    greeting: Greeting | None = None
    heard: ContentHash | None = None
    """Its intro."""
    heard_hour: Hour = Hour(0)
    answered_hour: Hour = Hour(0)
    """Of its reply to one's own intro."""
    proved: bool = False
    """Whether a line block of its, or a key block that rests on one, has opened."""
    reply_due: bool = False
    reply: ContentHash | None = None
    generations: dict[GenerationId, PeerGeneration] = msgspec.field(default_factory=dict)
    crossed: ContentHash | None = None
    """One's own intro that gave way to its: key blocks may rest on it."""
    given: dict[GenerationId, ContentHash] = msgspec.field(default_factory=dict)
    """The core that gave it a generation of one's own, for when it asks."""
    steps: dict[Step, ContentHash] = msgspec.field(default_factory=dict)
    """One's own line blocks to it, for when it asks."""
    rotated: tuple[Hour, int] = (Hour(0), 0)
    """Hour and order of the post that gave its prekey."""
    wrote: Hour = Hour(0)
    """Of one's latest line block to it."""
    noted: tuple[Hour, int] = (Hour(0), 0)
    """Hour of the latest private note between the two, and the highest order in it."""

    @property
    def answers(self) -> bool:
        """Whether its line is answered, and no reply to it is due: so a block may go now."""
        return self.line is not None and self.line.answered and not self.reply_due
