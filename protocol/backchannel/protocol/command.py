"""What a person or the shell can ask a channel to do: the argument of `act`."""

from typing import NamedTuple

from backchannel.protocol.roster import Role
from backchannel.protocol.types import Core, ThreadId


class Say(NamedTuple):
    """Say a text in a thread."""

    thread: ThreadId
    text: str


class Begin(NamedTuple):
    """Begin a thread whose content lives `lifetime` hours, or the channel's."""

    topic: str
    lifetime: int | None = None


class Invite(NamedTuple):
    """Make an invite that is good for `valid` hours."""

    alias: str
    party: str
    role: Role
    valid: int


class Admit(NamedTuple):
    """Let in who waits under this alias."""

    alias: str


class Refuse(NamedTuple):
    """Send away who waits under this alias, or withdraw the invite made for it."""

    alias: str


class Repost(NamedTuple):
    """Post a kept core again under a new outer layer."""

    core: Core


Command = Say | Begin | Invite | Admit | Refuse | Repost
