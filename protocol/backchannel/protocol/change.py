"""What a facilitator wants of the roster, and what time asks of one: that somebody goes, other
roles, rules or relays, a new epoch, an end to the drops of an old one: SPEC.md section 9.

How that becomes the next roster is `issuing`'s matter. Knows no lobby.
"""

from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import limits, settlement, standing
from backchannel.protocol.assent import tell
from backchannel.protocol.content import Gone, Proposal, policy_hash
from backchannel.protocol.core import content_hash
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.issuing import Change, issue
from backchannel.protocol.outcome import SealDrop
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Entry, Policy, lighter
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Core, Hour


def remove(posting: Posting, command: commands.Remove) -> None:
    """A new epoch without somebody."""
    state = posting.state
    entry = state.named(command.alias)
    if entry.slot == state.me:
        msg = "you do not remove yourself: leave, and another facilitator sees to it"
        raise LocalProtocolError(msg)
    turn(posting, (Gone(entry.slot, command.reason),))


def turn(posting: Posting, gone: tuple[Gone, ...] = ()) -> None:
    """A new epoch without those who go: by this wish or their own, by a rival, or replaced."""
    state, current = posting.state, posting.state.current()
    here = {entry.slot for entry in current.entries} - {state.me}
    left = [Gone(slot, "left") for slot in state.leavers]
    wished = (*left, *settlement.gone(state).values(), *gone)
    named = {each.slot: each for each in wished if each.slot in here}
    going, slots = tuple(named.values()), set(named)
    entries = tuple(entry for entry in current.entries if entry.slot not in slots)
    issue(posting, Change(entries, current.policy, going))


def set_role(posting: Posting, command: commands.SetRole) -> None:
    """Another role for somebody; one that takes something away comes with new keys."""
    state, current = posting.state, posting.state.current()
    entry = current.named(command.alias)
    if entry is None or entry.role == command.role:
        msg = "nobody of that name is here in another role"
        raise LocalProtocolError(msg)
    if entry.slot == state.me:
        msg = "you do not change your own role: another facilitator does"
        raise LocalProtocolError(msg)
    changed = Entry(entry.slot, entry.alias, entry.party, command.role, entry.identity)
    entries = tuple(changed if each is entry else each for each in current.entries)
    turns = lighter(command.role, entry.role)
    issue(posting, Change(entries, current.policy, turns=turns))


def set_policy(posting: Posting, policy: Policy) -> None:
    """Other rules: tighter ones at once; longer lives once everybody has agreed."""
    state, current = posting.state, posting.state.current()
    policy.check()
    if policy == current.policy:
        msg = "these are the rules already"
        raise LocalProtocolError(msg)
    if policy.closes(current.policy):
        _close(posting, policy)
        return
    if not policy.lengthens(current.policy):
        issue(posting, Change(current.entries, policy, turns=False))
        return
    proposed = state.proposals.get(policy_hash(policy))
    if proposed is None:
        tell(posting, Proposal(policy))
        return
    missing = [entry.alias for entry in current.entries if entry.slot not in proposed.yes]
    if missing:
        msg = f"not everybody has agreed yet: {', '.join(missing)}"
        raise LocalProtocolError(msg)
    issue(posting, Change(current.entries, policy))


def _close(posting: Posting, policy: Policy) -> None:
    """End the channel, once it is not one hand that does it: propose first."""
    state, current = posting.state, posting.state.current()
    proposed = state.proposals.get(policy_hash(policy))
    if replace(policy, standing=current.policy.standing) != current.policy:
        msg = "a channel is closed by the rules that it has: change nothing else with it"
        raise LocalProtocolError(msg)
    if proposed is None:
        tell(posting, Proposal(policy))
        return
    if not standing.ripe(state, proposed, Hour(posting.hour - limits.CLOSING_LATE)):
        msg = (
            "a channel is closed once each party has agreed, or eight days after it was proposed "
            "if nobody objects"
        )
        raise LocalProtocolError(msg)
    issue(posting, Change(current.entries, policy, turns=False))


def set_relays(posting: Posting, command: commands.SetRelays) -> None:
    """Other relays, in the epoch that stands: who is not there yet reads on where it reads."""
    current = posting.state.current()
    if command.relays == current.relays:
        msg = "these are the relays already"
        raise LocalProtocolError(msg)
    change = Change(current.entries, current.policy, turns=False, relays=command.relays)
    issue(posting, change)


def seal(posting: Posting, over: Epoch, cores: tuple[Core, ...] = ()) -> None:
    """Let nothing more be written to an epoch's drops, but these as the last."""
    assert over.close is not None  # noqa: S101 - as the callers saw
    ended = posting.into(over)
    for relay, drop in over.drops():
        blocks = tuple(ended.block(drop, core) for core in cores)
        posting.effects.append(SealDrop(relay.url, drop, drop.close_key(over.close), blocks))
    if over.ending is not None:
        over.ending.sealed = True


def last_blocks(posting: Posting, cores: tuple[Core, ...]) -> None:
    """Where the old drop takes no more, seal it with one's own change as its last blocks."""
    state = posting.state
    over = state.epoch_of(content_hash(cores[0])) if cores else None
    if over is None or over.close is None or not _ends(state, over):
        msg = "there is no change of yours to seal a drop with"
        raise LocalProtocolError(msg)
    seal(posting, over, cores)


def _ends(state: ChannelState, over: Epoch) -> bool:
    """Whether nothing more has to be written there: the next epoch is, or is about to be."""
    if over.ending is not None:
        return not over.ending.sealed
    return state.draft is not None and state.draft.secret is not None


def due(state: ChannelState, now: Hour) -> str:
    """Why this member should begin a new epoch now: `rivals`, `leavers`, `replaced`, `weekly`, or
    nothing. Where several facilitate they wait for each other, the lowest slot first.
    """
    if state.roster is None or state.draft is not None:
        return ""
    facilitators = settlement.settlers(state)
    if state.me not in facilitators or state.ended:
        return ""
    rank = facilitators.index(state.me)
    stands = any(b"rival" + name in state.record.alarmed for name in state.rivals)
    if stands and now - state.roster.hour >= rank * limits.YIELD_HOURS:
        return "rivals"  # even where the keys of the drops are with another half
    return _due(state, now, rank) if state.epoch.close is not None else ""


def _due(state: ChannelState, now: Hour, rank: int) -> str:
    if any(guest.state == "admitted" and guest.successor for guest in state.guests):
        return "replaced"
    if state.leavers and min(state.leavers.values()) + rank * limits.YIELD_HOURS <= now:
        return "leavers"
    age = now - max(state.epoch.began, state.epoch.moved)  # time for all to bring what is lacking
    old = age >= limits.EPOCH_HOURS + rank * limits.YIELD_HOURS
    return "weekly" if old and standing.turns_weekly(state.policy) else ""
