"""What a member's program does by itself, so that nobody has to remember it: tells that it is there
and what it holds, lets rules hold to which everybody has agreed, and knows people again whose words
were compared before the vault was restored. Decides only; `sync` does it.
"""

from backchannel.client.rounds.session import Session
from backchannel.client.telling.people import others
from backchannel.protocol import limits, standing
from backchannel.protocol.command import Command, Compare, Digest, SetPolicy
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, Slot

DIGEST_HOURS = 24


def due(session: Session) -> list[Command]:
    """What is to be done now."""
    state = session.state
    if state.roster is None or state.ended:
        return []
    news = Hour(session.summary.get("news", 0))
    since = Hour(max(state.record.told, session.summary["since"]))
    fresh = news > max(state.record.told, state.oldest(session.hour))  # and can still be compared
    tells = fresh and session.hour - since >= DIGEST_HOURS and len(state.current().entries) > 1
    beats = standing.pulse(state.policy) > 0
    told = _beat(session) if beats else [Digest()] if tells else []
    return [*_agreed(session), *_known(session), *told]


def _beat(session: Session) -> list[Digest]:
    """One heartbeat in each stretch of hours, by the schedule alone: nothing that was said, asked
    or answered moves it.
    """
    state = session.state
    due = standing.beat(state, session.hour) != state.record.beat
    return [Digest(beat=True)] if due and len(state.current().entries) > 1 else []


def _known(session: Session) -> list[Compare]:
    """Tells nobody."""
    state, known = session.state, session.summary.get("compared", ())
    new = [
        each.alias
        for each in others(state)
        if each.identity.hex() in known and state.verified.get(Slot(each.slot)) != each.identity
    ]
    return [Compare(tuple(new))] if new else []


def _agreed(session: Session) -> list[SetPolicy]:
    """Only who proposed it acts: two at once would be rivals."""
    state = session.state
    if state.draft is not None or state.rivals or not state.facilitates(state.me):
        return []
    mine = [each for each in state.proposals.values() if each.by == state.me]
    return [SetPolicy(each.policy) for each in mine if _holds(state, each, session.hour)][:1]


def _holds(state: ChannelState, proposed: Proposed, now: Hour) -> bool:
    if proposed.policy.standing == "closed":
        return standing.ripe(state, proposed, Hour(now - limits.CLOSING_LATE))
    return {entry.slot for entry in state.current().entries}.issubset(proposed.yes)
