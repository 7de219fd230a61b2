"""The record that nobody bends: SPEC.md section 16. What was accepted, refused and cited, and whose
account of the past agrees with one's own.

Nothing here ejects anybody: an alarm says that people should compare by voice.
"""

from typing import NamedTuple

import msgspec

from backchannel.protocol import command as commands
from backchannel.protocol import limits, sender_key, settlement, standing
from backchannel.protocol.account import Account
from backchannel.protocol.content import Content, Digest, DigestRow, Echo
from backchannel.protocol.errors import (
    AuthenticationError,
    ForbiddenError,
    ReplayError,
    StaleError,
)
from backchannel.protocol.labels import Label
from backchannel.protocol.outcome import Alarm, AlarmKind, Ended
from backchannel.protocol.posting import Posting
from backchannel.protocol.primitives import hash_
from backchannel.protocol.reception import Reception
from backchannel.protocol.sender_key import GroupHeader, Opened, PeerGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.successor import Rival
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import ContentHash, Hour, RosterHash, Slot, Timestamp, hour_of

Row = tuple[Hour, int]
"""Hour, and roster version."""


class Agreement(NamedTuple):
    """How far a member's account agrees with one's own."""

    upto: Hour | None = None
    """The last hour; None where nothing could be compared yet."""
    differs: Hour | None = None
    """The first hour that differs."""


# Posts that come.


def open_post(reception: Reception, held: PeerGeneration, header: GroupHeader) -> Opened:
    """Read a post, as `sender_key.open_post`.

    A second post under one number is a `ForbiddenError`: its slot verified. One whose slot does not
    is noted, since others may accept it.
    """
    state = reception.state
    if header.number < held.first:
        msg = "a post from before its key was given to me"
        raise StaleError(msg)
    try:
        return sender_key.open_post(
            held,
            header,
            reception.core,
            state.me,
            reception.clock,
            reception.head,
            reception.hash,
        )
    except ReplayError:
        msg = "a second post under one number"
        raise ForbiddenError(msg, header.sender, "fork") from None
    except AuthenticationError:
        _refuse(reception, header.sender)
        raise


def _refuse(reception: Reception, sender: Slot) -> None:
    """Its hash alone, for a while. The sender is a claim, so each claim has little room."""
    refused = reception.state.record.refused
    refused.pop(reception.hash, None)
    refused[reception.hash] = (reception.head.hour, sender)
    alike = [core for core, (_, claimed) in refused.items() if claimed == sender]
    for core in alike[: -limits.REFUSED_OF_ONE]:
        del refused[core]
    for core in list(refused)[: -limits.REFUSED]:
        del refused[core]


def accept(
    reception: Reception, header: GroupHeader, order: int, version: int, content: Content | None
) -> None:
    """Put a post that verified into the record; `content` where it is whole."""
    state, sender = reception.state, header.sender
    parents = tuple(parent.hash for parent in header.parents)
    reception.vouch(sender, parents)
    slots, aside = sender_key.slots_name(reception.core), isinstance(content, Echo)
    post = Post(reception.head.hour, order, version, sender, parents, slots, aside)
    for lost in state.transcript.add(reception.hash, post, header.parents):
        if state.epoch_of(lost) is None:  # what alarmed is a gap, and stays one
            state.want("core", sender, lost, reception.now)
    for parent in parents:
        shown(state, parent)
    state.got("core", sender, reception.hash)
    state.record.refused.pop(reception.hash, None)
    if sender in state.peers:
        state.alive[sender] = Hour(max(state.alive.get(sender, 0), reception.head.hour))
    if sender in state.peers and header.roster in state.versions:
        come(state, sender, header.roster)


def shown(state: ChannelState, core: ContentHash) -> None:
    """One's own post came back, or somebody names it: so a relay took it, and those before it."""
    ahead = [core]
    while ahead:
        core = ahead.pop()
        if state.record.sent.pop(core, None) is not None and core in state.transcript:
            ahead.extend(state.transcript.posts[core].parents)


def come(state: ChannelState, slot: Slot, roster: RosterHash) -> None:
    """A member has shown to be at a roster that is known; so it stands behind no rival of it."""
    version = state.versions[roster]
    state.come[slot] = max(state.come.get(slot, 0), version)
    if state.roster is not None and version >= state.roster.version:
        concede(state, slot)


def concede(state: ChannelState, slot: Slot) -> None:
    """Who came over, or asked to go, stands behind no roster of its own against mine."""
    over = {n: each for n, each in state.rivals.items() if each.by == slot and not each.backed}
    state.record.conceded |= over
    state.rivals = {name: each for name, each in state.rivals.items() if name not in over}


def strange(reception: Reception, slot: Slot, roster: RosterHash) -> None:
    """Somebody is at a roster that is not known: its announcement may still come. Or at a rival
    whose issuer is not any more: then it stands after all. Whoever names many makes room for none
    of them.
    """
    state, foreign = reception.state, reception.state.record.foreign
    rival = state.rivals.get(roster) or state.record.conceded.get(roster)
    if rival is not None and rival.by != slot:
        state.record.conceded.pop(roster, None)
        state.rivals[roster] = msgspec.structs.replace(rival, behind=(*{*rival.behind, slot},))
    slots, since = foreign.get(roster, ((), reception.now))
    if slot not in slots and sum(slot in each for each, _ in foreign.values()) < limits.FOREIGN:
        foreign[roster] = (*slots, slot), since


# Accounts of the past.


def digest(state: ChannelState, now: Hour, *, asks: bool = False) -> Digest:
    """The newest closed hours in which anything was said."""
    first, mine = _beginning(state, now), rows(state)
    told = sorted(row for row in mine if first <= row[0] < now - limits.CLOCK_SKEW)
    newest = told[-limits.DIGEST_ROWS :]
    if newest != told:
        first = Hour(newest[0][0] + 1)  # of that hour a version may be cut off
    listed = tuple(
        DigestRow(hour, version, len(mine[hour, version]), _digest(mine[hour, version]))
        for hour, version in newest
        if hour >= first
    )
    refused = sorted(state.record.refused)[: limits.DIGEST_REFUSED]
    return Digest(int(asks), first, state.transcript.first, listed, tuple(refused))


def rows(state: ChannelState) -> dict[Row, list[ContentHash]]:
    """What was accepted; of one's own posts those that a relay has shown."""
    found: dict[Row, list[ContentHash]] = {}
    for core, post in state.transcript.posts.items():
        split = post.version in state.record.split
        if not (post.aside or split or core in state.record.sent):
            found.setdefault((post.hour, post.version), []).append(core)
    return found


def _digest(cores: list[ContentHash]) -> bytes:
    """32 bytes over what was accepted of one hour."""
    return hash_(Label.DIGEST, b"".join(sorted(cores)))


def _beginning(state: ChannelState, now: Hour) -> Hour:
    """The first hour that one has whole: not that of one's coming, and none that is about to go."""
    oldest = max(state.oldest(now), state.record.kept) + limits.CLOCK_SKEW
    return Hour(1 + max(oldest, state.since))


def compare(reception: Reception, sender: Slot, told: Digest) -> None:
    """Hold somebody's account against one's own: rows that agree now have agreed for good."""
    state, record = reception.state, reception.state.record
    before = record.accounts.get(sender)
    if told.asks and record.answer is None and record.told != hour_of(reception.now):
        record.answer = Timestamp(0)
    for core in told.refused:
        if core in state.transcript.posts:
            state.owe(ContentHash(core), sender, reception.now)
    if before is not None and before.hour > reception.head.hour:
        return
    now = Hour(min(hour_of(reception.now), reception.head.hour))
    first = Hour(max(_beginning(state, hour_of(reception.now)), told.since))
    last = Hour(now - limits.CLOCK_SKEW - 1)
    theirs = {(Hour(row.hour), row.version): row.digest for row in told.rows}
    _vouched(state, theirs)
    mine = rows(state)
    oldest = max(told.version, state.transcript.first)
    both = [row for row in {*theirs, *mine} if first <= row[0] <= last and row[1] >= oldest]
    both = [row for row in both if row[1] not in record.split]
    differs = _differing(mine, {row: theirs.get(row, b"") for row in both})
    earlier = before.since if before is not None else {}
    since = {row: earlier.get(row, reception.now) for row in differs}
    account = Account(reception.head.hour, first, last, differs, since)
    record.accounts[sender] = account


def _vouched(state: ChannelState, theirs: dict[Row, bytes]) -> None:
    """Where an account agrees only with what no relay has shown, its author has that all the same:
    a courier brought it.
    """
    mine, unshown = rows(state), dict[Row, list[ContentHash]]()
    for core in state.record.sent:
        post = state.transcript.posts.get(core)
        if post is not None and not post.aside:
            unshown.setdefault((post.hour, post.version), []).append(core)
    for row, cores in unshown.items():
        if theirs.get(row) == _digest([*mine.get(row, []), *cores]):
            for core in cores:
                shown(state, core)


def _differing(mine: dict[Row, list[ContentHash]], theirs: dict[Row, bytes]) -> dict[Row, bytes]:
    return {
        row: digest
        for row, digest in theirs.items()
        if (_digest(mine[row]) if row in mine else b"") != digest
    }


def agreement(state: ChannelState) -> dict[Slot, Agreement]:
    """For each other member, up to where its newest account agrees."""
    mine = rows(state)
    return {slot: _agreement(mine, state.record.accounts.get(slot)) for slot in state.peers}


def _agreement(mine: dict[Row, list[ContentHash]], account: Account | None) -> Agreement:
    if account is None:
        return Agreement()
    differs = min((hour for hour, _ in _differing(mine, account.differs)), default=None)
    upto = account.last if differs is None else Hour(differs - 1)
    return Agreement(upto if upto >= account.first else None, differs)


def tell(posting: Posting, command: commands.Digest) -> None:
    """Tell others what one holds of the closed hours."""
    record = posting.state.record
    record.told, record.answer = posting.hour, None
    if command.beat:
        record.beat = standing.beat(posting.state, posting.hour)
    if command.asks:
        record.asked = posting.hour
    posting.post(digest(posting.state, posting.hour, asks=command.asks))


# What time shows.


def forget(state: ChannelState, oldest: Hour) -> None:
    """Drop what is of hours before `oldest`."""
    record = state.record
    record.kept = Hour(max(record.kept, oldest))
    record.refused = {core: each for core, each in record.refused.items() if each[0] >= oldest}
    record.alarmed = {name: hour for name, hour in record.alarmed.items() if hour >= oldest}
    record.sent = {core: hour for core, hour in record.sent.items() if hour >= oldest}
    record.foreign = {
        roster: each for roster, each in record.foreign.items() if hour_of(each[1]) >= oldest
    }


def watch(posting: Posting) -> None:
    """Raise what has not explained itself in time; answer who wants to compare."""
    _watch_rivals(posting)
    _watch_cited(posting)
    _watch_foreign(posting)
    _watch_accounts(posting)
    _answer(posting)


def _alarm(posting: Posting, kind: AlarmKind, slot: Slot, name: bytes, mark: bytes = b"") -> None:
    """Once for each thing, or for each `mark` of it."""
    alarmed, known = posting.state.record.alarmed, kind.encode() + (mark or name)
    if known not in alarmed:
        alarmed[known] = posting.hour
        posting.events.append(Alarm(kind, slot, name))


def _watch_rivals(posting: Posting) -> None:
    """Two may act at once in good faith: then one of them concedes."""
    state, now = posting.state, posting.now
    if any(not rival.since for rival in state.rivals.values()):
        _stand(posting)
    for roster, rival in state.rivals.items():
        if not rival.since:
            state.rivals[roster] = msgspec.structs.replace(rival, since=now)
        elif now - rival.since >= limits.RIVAL_STANDS:
            _alarm(posting, "rival", rival.by, roster)
            _go_with(posting, rival)


def _go_with(posting: Posting, rival: Rival) -> None:
    """It took my place away and will not give way: whatever ends it does the same. Or it went on,
    and took my place away where I do not read: nobody who facilitates came to where I am. Who goes
    with me leads nobody on.
    """
    state = posting.state
    foreign = {slot for slots, _ in state.record.foreign.values() for slot in slots}
    going = state.leavers.keys() | settlement.gone(state).keys()
    leads = {slot for slot in state.peers if state.facilitates(slot)} - going
    stands = rival.behind or leads <= {rival.by, *foreign}
    reasons = [each.reason for each in rival.gone if each.slot == state.me and stands]
    if not reasons and not _left_alone(posting, rival, leads, foreign):
        return
    state.ended = reasons[0] if reasons else "removed"
    posting.events.append(Ended(state.ended, rival.by))


def _left_alone(posting: Posting, rival: Rival, leads: set[Slot], foreign: set[Slot]) -> bool:
    """All who facilitate are elsewhere, for so long that what settles it was not for me."""
    state = posting.state
    others = {slot for each in state.rivals.values() for slot in (each.by, *each.behind)}
    waits = 3600 * max(limits.ALONE_HOURS, state.lifetime // limits.ALONE_PART)
    late = posting.now - rival.since >= waits
    return late and leads <= others | foreign and not state.facilitates(state.me)


def _stand(posting: Posting) -> None:
    """Say where one is, to who may be elsewhere: whoever settles it must know that one is behind.
    Who began an epoch has said so already.
    """
    roster, over = posting.state.current(), posting.state.epoch
    if over.id in {rival.epoch for rival in posting.state.rivals.values()}:
        posting.post(Echo(roster.version, roster.hash))


def _watch_cited(posting: Posting) -> None:
    """Somebody accepted what was refused here, and nobody has a copy that is good for both."""
    state = posting.state
    for want in state.wants:
        if want.times >= limits.CITED_ASKS and want.name in state.record.refused:
            _alarm(posting, "cited", Slot(want.slot), want.name)


def _watch_foreign(posting: Posting) -> None:
    state, record = posting.state, posting.state.record
    foreign = record.foreign
    for roster, (slots, since) in list(foreign.items()):
        if roster in {*state.versions, *state.rivals, *record.conceded}:
            del foreign[roster]
        elif posting.now - since >= limits.PATIENCE:
            _alarm(posting, "foreign", slots[0], roster)


def _watch_accounts(posting: Posting) -> None:
    """A difference is real when an account shows it that was given long after it was first seen;
    who has none so fresh is asked for one.
    """
    record, now = posting.state.record, posting.now
    differing = {slot: each for slot, each in record.accounts.items() if each.differs}
    mine = rows(posting.state) if differing else {}
    first = _beginning(posting.state, posting.hour)
    for slot, account in differing.items():
        open_ = _differing(mine, account.differs)
        open_ = {row: digest for row, digest in open_.items() if row[0] >= first}
        since = {row: account.since[row] for row in open_}
        record.accounts[slot] = msgspec.structs.replace(account, differs=open_, since=since)
        for row in open_:
            if account.hour >= hour_of(since[row]) + limits.PATIENCE // 3600:
                mark = bytes([slot]) + row[0].to_bytes(4) + row[1].to_bytes(4) + open_[row]
                _alarm(posting, "record", slot, open_[row], mark)
            elif now - since[row] >= limits.PATIENCE and record.asked < hour_of(since[row]):
                tell(posting, commands.Digest(asks=True))


def _answer(posting: Posting) -> None:
    """After a random while, so that not all answer at once."""
    record, now = posting.state.record, posting.now
    if record.answer == 0:
        spread = limits.REPOST_DELAY + limits.REPOST_SPREAD * len(posting.state.peers)
        delay = int.from_bytes(posting.entropy.draw(2)) % spread
        record.answer = Timestamp(now + 1 + delay)
    elif record.answer is not None and record.answer <= now:
        tell(posting, commands.Digest())
