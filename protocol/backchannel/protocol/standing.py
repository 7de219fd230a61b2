"""Whether there is talk in a channel, none for now, none expected, or none ever again: SPEC.md
section 9, "Standing".

Owns what a standing forbids, how often members tell that they are there, and who must agree before
a channel is closed. Knows neither how a rule comes to hold nor who asks.
"""

from typing import Final

from backchannel.protocol import limits
from backchannel.protocol.alias import alike
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.permission import Act
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.roster import Entry, Policy
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, RosterHash, Slot

TALK: Final[frozenset[Act]] = frozenset({"text", "note", "file", "unattributed", "carry"})
"""What people say. All else goes on while a channel is suspended: keys, roster, heartbeats."""
SPOKE: Final = "somebody spoke while the channel was suspended or closed"
"""What others did who speak then."""


def refuse_talk(state: ChannelState, act: Act) -> None:
    """`LocalProtocolError` for what oneself would say while nobody does."""
    if act in TALK and state.policy.standing == "suspended":
        msg = "the channel is suspended: nobody speaks here until a facilitator resumes it"
        raise LocalProtocolError(msg)


def forbids(state: ChannelState, roster: RosterHash, act: Act) -> bool:
    """Whether somebody speaks under a roster by which it knows that nobody does."""
    return act in TALK and roster in state.quiet


def hushed(state: ChannelState, said: Hour) -> bool:
    """Whether what was said in that hour came after the channel was suspended or closed: its author
    may not have known, so it is no fault, and is not shown all the same.
    """
    return state.policy.standing in {"suspended", "closed"} and said > state.standing_since


def pulse(policy: Policy) -> int:
    """Hours between two heartbeats of one member; 0 for none."""
    if policy.standing == "dormant":
        return limits.PULSE
    return policy.pulse


def turns_weekly(policy: Policy) -> bool:
    """Whether epochs turn by themselves: not while nothing is expected, since who comes once in a
    while is to find the way.
    """
    return policy.standing != "dormant"


def beat(state: ChannelState, now: Hour) -> int:
    """The number of one's own heartbeat that is due in this hour, by a schedule that no talk moves;
    0 where there are none. The slot spreads the members over the hours.
    """
    hours = pulse(state.policy)
    return (now + state.me) // hours if hours else 0


# Closing.


def ripe(state: ChannelState, proposed: Proposed, now: Hour) -> bool:
    """Whether a channel may be closed: nobody who has a voice objects, and somebody of each party
    agreed, or the waiting period is over.
    """
    voices = [each for each in state.current().entries if _has_voice(state, proposed, each)]
    if objects(state, proposed):
        return False
    if now >= proposed.hour + limits.CLOSING_HOURS:
        return True
    yes = [each for each in voices if each.slot in proposed.yes]
    agreed = all(any(alike(one.party, each.party) for one in yes) for each in voices)
    return agreed and len(yes) >= min(2, len(voices))  # one hand is not enough where there are two


def objects(state: ChannelState, proposed: Proposed) -> bool:
    """Whether anybody who has a voice said no."""
    entries = state.current().entries
    return any(e.slot in proposed.no and _has_voice(state, proposed, e) for e in entries)


def asked(state: ChannelState, proposed: Proposed) -> list[Entry]:
    """Who has a voice in a closing and has not answered."""
    answered = {*proposed.yes, *proposed.no}
    entries = state.current().entries
    return [e for e in entries if e.slot not in answered and _has_voice(state, proposed, e)]


def voice(entry: Entry) -> bool:
    """Whether its role gives it a voice."""
    return entry.role in {"facilitator", "participant"}


def _has_voice(state: ChannelState, proposed: Proposed, entry: Entry) -> bool:
    """Who facilitates takes nobody's voice away by a lighter role in order to close."""
    lost = state.lost.get(Slot(entry.slot))
    return voice(entry) or (lost is not None and lost + limits.VOICE_HOURS >= proposed.hour)
