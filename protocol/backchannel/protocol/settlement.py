"""How two lists of members that stand against each other come to an end: SPEC.md section 9.

Who settles it, which rivals it names, and where it is announced. Issues nothing itself.
"""

from backchannel.protocol import limits
from backchannel.protocol.content import Gone
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.outcome import Lost
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Entry
from backchannel.protocol.state import ChannelState
from backchannel.protocol.successor import Rival
from backchannel.protocol.types import DropId, EpochId, RosterHash, Slot


def named(state: ChannelState) -> dict[RosterHash, Rival]:
    """What a settlement names: rivals that stand; and those that do not, since somebody who has
    said nothing yet may stand behind them.
    """
    if not state.rivals:
        return {}
    both = {**state.rivals, **state.record.conceded}
    return dict(list(both.items())[: limits.MERGED])


def settlers(state: ChannelState) -> list[int]:
    """Slots of who facilitates, and did so before there were rivals: others know them as such.
    Where each of these stands behind one, all who facilitate: else one could hold on to a channel.
    """
    leads = [e.slot for e in state.current().entries if e.role == "facilitator"]
    since = min((rival.version for rival in state.rivals.values()), default=0)
    known = [name for name, version in state.versions.items() if version == since - 1]
    led = [s for s in leads if any(state.role(Slot(s), n) == "facilitator" for n in known)]
    against = {rival.by for rival in state.rivals.values()}
    return leads if against.issuperset(led) else led


def gone(state: ChannelState) -> dict[Slot, Gone]:
    """Whom a rival took away, and so does what ends it."""
    return {Slot(each.slot): each for rival in named(state).values() for each in rival.gone}


def keeps_gone(state: ChannelState, entries: tuple[Entry, ...]) -> bool:
    """Whether somebody stays whom a rival took away: who is there knows no more of them."""
    taken = gone(state).keys() - {state.me}
    return any(entry.slot in taken for entry in entries)


def common(state: ChannelState) -> Epoch:
    """Where all read who are with me or may have adopted a rival: the newest epoch from which all
    of them came. Where that is sealed, the oldest in which a rival was announced.
    """
    told = {rival.epoch for rival in state.rivals.values()}
    all_ = set[EpochId].intersection(*(_read(state, name) for name in (state.epoch.id, *told)))
    newest = [each for each in state.epochs if each.id in all_][-1:]
    some = [each for each in state.epochs if each.id in told]
    open_ = [each for each in (*newest, *some) if not (each.ending and each.ending.sealed)]
    return open_[0] if open_ else state.epoch


def _read(state: ChannelState, name: EpochId) -> set[EpochId]:
    """Of those that I keep, which everybody in an epoch reads: that in whose drop it was announced,
    and so on.
    """
    read = {name}
    for each in reversed(state.epochs):
        read |= {each.announced} if each.id in read else set()
    return read


def sealed(posting: Posting, drop: DropId) -> None:
    """A change of one's own that was to settle rivals in an epoch that is over, and was not read
    back in an hour, is given up, and what follows it is said elsewhere. If another relay took it
    all the same, others stand behind it.
    """
    state, draft = posting.state, posting.state.draft
    over = next((e for e in state.epochs if drop in {d.id for _, d in e.drops()}), None)
    if draft is None or over is None or over.ending is None:
        return
    late = posting.hour > draft.hour + 1  # an hour at least: an honest relay has shown it by then
    if late and state.epoch_of(draft.unread[0]) is over:
        over.ending.sealed, state.draft = True, None
        rival = state.rival(draft.version, draft.roster, state.me, over.id, draft.gone)
        state.record.conceded[draft.roster] = rival
        posting.events.append(Lost(draft.version))
