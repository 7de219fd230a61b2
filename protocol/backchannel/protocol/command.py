"""What a person or the shell can ask a channel to do: the argument of `act`."""

from typing import Literal, NamedTuple

from backchannel.protocol.hotline import Attend, Coming, Convene, Duty, Incident, Test
from backchannel.protocol.roster import Policy, Relay, Role
from backchannel.protocol.types import Core, DropId, MessageId, ThreadId


class Say(NamedTuple):
    """Say a text in a thread."""

    thread: ThreadId
    text: str
    authority: int = 0
    """Index into `content.AUTHORITY`."""
    release: int = 0
    """Index into `content.RELEASE`."""
    about: bytes = b""
    """Id of the message that it answers."""
    quote: str = ""
    carried: bool = False
    """Brought from elsewhere, as a facilitator does."""
    id: MessageId | None = None
    """Of a text that is said again because no reader can have it."""


class Whisper(NamedTuple):
    """Say a text to one member alone."""

    alias: str
    text: str
    authority: int = 0
    about: bytes = b""


class SayUnattributed(NamedTuple):
    """Say a text as nobody in particular; the shell waits a while before it asks for this."""

    thread: ThreadId
    text: str


class SendFile(NamedTuple):
    """Offer a file in a thread."""

    thread: ThreadId
    name: str
    data: bytes


class Begin(NamedTuple):
    """Begin a thread whose content lives `lifetime` hours, or the channel's."""

    topic: str
    lifetime: int | None = None
    burn: int = 0
    """Hours that something lives once it was shown; 0: no fewer than unread."""
    off: bool = False
    """Off the record."""


class Shorten(NamedTuple):
    """Let a thread's content live shorter, or go off the record; what is not named stays."""

    thread: ThreadId
    lifetime: int | None = None
    burn: int = 0
    off: bool = False


class Invite(NamedTuple):
    """Make an invite that is good for `valid` hours."""

    alias: str
    party: str
    role: Role
    valid: int
    successor: str = ""
    """Alias of who goes when this one is admitted."""
    relay: str = ""
    """Address of the channel's relay that is to hold the lobby; empty: the first."""


class Admit(NamedTuple):
    """Let in who waits under this alias."""

    alias: str


class Refuse(NamedTuple):
    """Send away who waits under this alias, or withdraw the invite made for it."""

    alias: str


class Present(NamedTuple):
    """Ask the members about who waits under this alias."""

    alias: str


class Vouch(NamedTuple):
    """Stand up for who waits under this alias."""

    alias: str


class Objection(NamedTuple):
    """Say no to who waits under this alias, to the facilitators alone."""

    alias: str


class Remove(NamedTuple):
    """Take somebody out of the channel, under new keys."""

    alias: str
    reason: Literal["removed", "compromised", "replaced"] = "removed"


class SetRole(NamedTuple):
    """Give somebody another role."""

    alias: str
    role: Role


class SetPolicy(NamedTuple):
    """Change the rules: at once where they tighten, else by a proposal that waits for everybody."""

    policy: Policy


class Consent(NamedTuple):
    """Say yes or no to a proposed policy, by its hash."""

    policy: bytes
    yes: bool = True


class Turn(NamedTuple):
    """Begin a new epoch: without who wants to go, and over every rival roster."""


class LastBlocks(NamedTuple):
    """Seal a drop that takes no more, with the cores of one's own change as its last."""

    cores: tuple[Core, ...]


class Sealed(NamedTuple):
    """A relay says that a drop takes no more."""

    drop: DropId


class Leave(NamedTuple):
    """Go of one's own accord."""


class Digest(NamedTuple):
    """Tell what one holds of the closed hours; `asks` others to do the same."""

    asks: bool = False
    beat: bool = False
    """As this hour's heartbeat."""


class Compare(NamedTuple):
    """Mark that words were compared by voice, with these members or with all."""

    aliases: tuple[str, ...] = ()


class Rephrase(NamedTuple):
    """Ask an author whether other words for its message may be carried."""

    about: MessageId
    text: str


class Release(NamedTuple):
    """Let these very words for a message of one's own be carried."""

    about: MessageId
    text: str


class Ring(NamedTuple):
    """Say something on a hotline. An echo is nobody's to ask for: `tick` says it."""

    signal: Test | Duty | Incident | Attend | Convene | Coming


class GiveFloor(NamedTuple):
    """Let one member speak, or everybody."""

    alias: str = ""


class RaiseHand(NamedTuple):
    """Ask for the floor, or no longer."""

    raised: bool = True


class Repost(NamedTuple):
    """Post a kept core again under a new outer layer."""

    core: Core
    drop: DropId | None = None
    """Into this one alone; None: into those of every relay."""


class Cover(NamedTuple):
    """Make a block that says nothing, for each relay."""


class SetRelays(NamedTuple):
    """Let the channel stand on these relays from now on."""

    relays: tuple[Relay, ...]


class Level(NamedTuple):
    """A drop was read to its end just now: what it lacks is brought to it."""

    drop: DropId


Command = (
    Say
    | Whisper
    | SayUnattributed
    | SendFile
    | Begin
    | Shorten
    | Invite
    | Admit
    | Refuse
    | Present
    | Vouch
    | Objection
    | Remove
    | SetRole
    | SetPolicy
    | Consent
    | Turn
    | LastBlocks
    | Sealed
    | Leave
    | Digest
    | Compare
    | Rephrase
    | Release
    | Ring
    | GiveFloor
    | RaiseHand
    | Repost
    | SetRelays
    | Level
    | Cover
)
