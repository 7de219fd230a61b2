"""What a member's program does by itself, so that nobody has to remember it: tells once a day what
it holds, lets rules hold to which everybody has agreed, and knows people again whose words were
compared before the vault was restored. Decides only; `sync` does it.
"""

from backchannel.client.people import others
from backchannel.client.session import Session
from backchannel.protocol.command import Command, Compare, Digest, SetPolicy
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
    return [*_agreed(state), *_known(session), *([Digest()] if tells else [])]


def _known(session: Session) -> list[Compare]:
    """Tells nobody."""
    state, known = session.state, session.summary.get("compared", ())
    new = [
        each.alias
        for each in others(state)
        if each.identity.hex() in known and state.verified.get(Slot(each.slot)) != each.identity
    ]
    return [Compare(tuple(new))] if new else []


def _agreed(state: ChannelState) -> list[SetPolicy]:
    """Only who proposed it acts: two at once would be rivals."""
    if state.draft is not None or state.rivals or not state.facilitates(state.me):
        return []
    slots = {entry.slot for entry in state.current().entries}
    mine = [each for each in state.proposals.values() if each.by == state.me]
    return [SetPolicy(each.policy) for each in mine if slots.issubset(each.yes)][:1]
