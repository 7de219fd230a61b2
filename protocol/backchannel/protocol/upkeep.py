"""What time asks of a member: to forget, answer, greet again, renew, ask, and hand out what was
asked for.

SPEC.md sections 4, 12, 14, 16 and 17. Each part is a step of one `tick`; none is a person's wish.
"""

import msgspec

from backchannel.protocol import change, epoch, files, levelling, limits, lobby, record, watch
from backchannel.protocol.content import Ask, Echo, Prekey
from backchannel.protocol.core import Head, Kind, head_of
from backchannel.protocol.identity import BundleKeys, HybridPrivate, prekey_id
from backchannel.protocol.line import forget
from backchannel.protocol.missing import Want
from backchannel.protocol.outcome import Lost, Repost
from backchannel.protocol.peer import Peer
from backchannel.protocol.posting import Posting
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.state import ChannelState, OldPrekey
from backchannel.protocol.types import Hour, Slot, Timestamp, hour_of
from backchannel.protocol.whisper import GivenClose, LostSteps, Nothing


def keep_up(posting: Posting) -> None:
    """All of it, in order. A newcomer is silent until it has its roster: its reply says so."""
    state = posting.state
    _forget(posting)
    if state.roster is not None and not state.ended:
        posting.come_along()
        posting.answer_all()
        _come_over(posting)
        _greet(posting)
        _give_anew(posting)
        _ask(posting)
        _renew(posting)
        _rotate_prekey(posting)
        _give_close(posting)
        _seal(posting)
        record.watch(posting)
        watch.echo(posting)
    _read_again(posting)
    _hand_out(posting)
    if state.guests:
        lobby.clean(posting)


def _forget(posting: Posting) -> None:
    state, now = posting.state, posting.hour
    oldest = state.oldest(now)
    _forget_epochs(posting, oldest)
    state.transcript.forget(oldest)
    record.forget(state, oldest)
    state.delivered = {name: hour for name, hour in state.delivered.items() if hour >= oldest}
    state.partial = {name: each for name, each in state.partial.items() if each.hour >= oldest}
    state.pending = [
        each
        for each in state.pending
        if each.epoch in posting.clocks and _may_open(head_of(each.core), oldest, state.since)
    ]
    state.wants = [each for each in state.wants if hour_of(each.since) >= oldest]
    state.threads = {name: each for name, each in state.threads.items() if each.until > now}
    late = Timestamp(posting.now - limits.REPOST_AGAIN)
    state.reposted = {core: at for core, at in state.reposted.items() if at > late}
    state.prekeys = [each for each in state.prekeys if each.hour >= oldest]
    answered = min(oldest, now - 2 * limits.CLOSING_HOURS)
    state.proposals = {
        name: each
        for name, each in state.proposals.items()
        if each.hour >= (answered if _closes(each) else oldest)
    }
    state.answers = {
        slot: {name: each for name, each in own.items() if each.told[0] >= answered}
        for slot, own in state.answers.items()
    }
    state.candidates = {n: each for n, each in state.candidates.items() if each.hour >= oldest}
    files.forget(state, now)
    watch.forget(state, now)
    for peer in state.peers.values():
        _forget_peer(state, peer, oldest)


def _closes(proposed: Proposed) -> bool:
    """Then it waits for its own time, however short content lives."""
    return proposed.policy.standing == "closed"


def _may_open(head: Head, oldest: Hour, since: Hour) -> bool:
    """Parts of a roster from before my time never do. Of others the announcement may come later, by
    another relay: they could be asked for in vain, where the drop is sealed by then.
    """
    first = max(oldest, since) if head.kind in (Kind.ROSTER, Kind.EPOCH) else oldest
    return head.hour >= first


def _forget_epochs(posting: Posting, oldest: Hour) -> None:
    """An epoch that is over goes with the last hour that could be read in it; so does a clock of
    one that never began.
    """
    state, clocks = posting.state, posting.clocks
    last = oldest - limits.SEAL_HOURS - 2 * limits.CLOCK_SKEW
    state.epochs = [e for e in state.epochs if e.ending is None or e.ending.hour >= last]
    if state.draft is not None and state.draft.hour < oldest:
        posting.events.append(Lost(state.draft.version))
        state.draft = None
    _forget_rosters(state)
    begun = [each.secret for each in state.announced if each.secret is not None]
    begun += [state.draft.secret] if state.draft is not None and state.draft.secret else []
    kept = {each.id for each in state.epochs} | {epoch.epoch_id(secret) for secret in begun}
    for name in [name for name in clocks if name not in kept]:
        del clocks[name]
    for clock in clocks.values():
        clock.forget_before(Hour(oldest - epoch.KEPT_BEHIND))
    for each in state.epochs:
        first = clocks[each.id].hour  # what can be opened again must be known again
        each.seen = {core: hour for core, hour in each.seen.items() if hour >= first}
        levelling.forget(state, each, posting.hour)
        ending = each.ending
        if ending and not each.contested and posting.hour - ending.hour > limits.SEAL_HOURS:
            ending.own = None  # the drop is sealed by now


def _forget_rosters(state: ChannelState) -> None:
    """Of epochs of which nothing can be read."""
    readable = {each.number for each in state.epochs}
    kept = {name for name, number in state.numbers.items() if number in readable}
    first = min((state.versions[name] for name in kept), default=0)
    kept |= {name for name, version in state.versions.items() if version >= first}
    state.versions = {name: each for name, each in state.versions.items() if name in kept}
    state.numbers = {name: each for name, each in state.numbers.items() if name in kept}
    state.roles = {name: each for name, each in state.roles.items() if name in kept}
    state.record.split = [version for version in state.record.split if version >= first]
    state.quiet = [each for each in state.quiet if each in kept]


def _come_over(posting: Posting) -> None:
    """Tell everybody that one's own change was too late."""
    state = posting.state
    if state.concede:
        state.concede = False
        _give_way(posting)
        roster = state.current()
        posting.post(Echo(roster.version, roster.hash))


def _give_way(posting: Posting) -> None:
    """Whom it took away waits, where it was announced, for the roster of its version that one came
    to; where one is by now, if that is further on, says nothing of it.
    """
    state = posting.state
    both = (*state.rivals.values(), *state.record.conceded.values())
    own = [(each.version, each.epoch) for each in both if each.by == state.me]
    lost, where = max(own, default=(0, state.epoch.id))
    adopted = {state.versions[name]: name for name in state.numbers}
    for over in state.epochs:
        if over.id == where and lost in adopted and lost < state.current().version:
            posting.echo(over, lost, adopted[lost])


def _rotate_prekey(posting: Posting) -> None:
    """Weekly: whoever gets at this device later opens no intro to a prekey that is gone."""
    state, now = posting.state, posting.hour
    if now - state.prekey_since < limits.EPOCH_HOURS:
        return
    old, new = state.keys.prekey, HybridPrivate.draw(posting.entropy)
    state.prekeys = [*state.prekeys, OldPrekey(old, prekey_id(old.public()), now)]
    state.keys = BundleKeys(state.keys.identity, new)
    state.prekey_since = now
    posting.post(Prekey(state.keys.public().prekey.pack()))


def _give_close(posting: Posting) -> None:
    """Who issued the roster gives the other facilitators what closes the epoch's drops."""
    state, here = posting.state, posting.state.epoch
    if here.close is None or state.current().issuer != state.me:
        return
    for entry in state.current().entries:
        slot = Slot(entry.slot)
        peer = state.peers.get(slot)
        if entry.role != "facilitator" or slot in here.given or peer is None:
            continue
        if peer.answers:
            given = GivenClose(here.id, here.close.expose())
            posting.put(posting.line_block(slot, given).core)
            here.given = [*here.given, slot]


def _seal(posting: Posting) -> None:
    """Close an epoch's drops once everybody has come along, or has had a day for it."""
    state = posting.state
    version = state.current().version
    for over in state.epochs:
        ending = over.ending
        if ending is None or not ending.issuer or ending.sealed or over.close is None:
            continue
        come = all(state.come.get(slot, 0) >= version for slot in state.peers)
        waits = max(limits.SEAL_HOURS, state.lifetime if over.contested else 0)
        if (come and not state.rivals) or posting.hour - ending.hour >= waits:
            change.seal(posting, over)


def _forget_peer(state: ChannelState, peer: Peer, oldest: Hour) -> None:
    if peer.line is not None:
        peer.line = forget(peer.line, oldest)
    peer.given = {name: core for name, core in peer.given.items() if state.epoch_of(core)}
    peer.steps = {step: core for step, core in peer.steps.items() if state.epoch_of(core)}
    newest = max((held.hour for held in peer.generations.values()), default=Hour(0))
    peer.generations = {
        name: held
        for name, held in peer.generations.items()
        if held.hour >= oldest or held.hour == newest
    }


def _greet(posting: Posting) -> None:
    """A newcomer greets every entry before its own; unanswered intros come again."""
    state = posting.state
    for slot, peer in state.peers.items():
        if peer.line is None and peer.to_greet:
            posting.greet(slot)
        elif peer.greeting is not None:
            _greet_again(posting, slot, peer)


def _greet_again(posting: Posting, slot: Slot, peer: Peer) -> None:
    greeting = peer.greeting
    assert greeting is not None  # noqa: S101 - as the caller checked
    packages = [guest.package for guest in posting.state.guests if guest.slot == slot]
    if greeting.made < posting.state.oldest(posting.hour):
        if not greeting.replaced and not packages:
            posting.greet(slot, replaced=True)
        return
    waits = limits.INTRO_AGAIN[min(greeting.times, len(limits.INTRO_AGAIN) - 1)]
    if posting.hour - greeting.posted < waits:
        return
    peer.greeting = msgspec.structs.replace(greeting, posted=posting.hour, times=greeting.times + 1)
    again = [greeting.hash, *(core for package in packages for core in package)]
    posting.effects.extend(Repost(each) for each in again)


def _ask(posting: Posting) -> None:
    """One post for what has been missing long enough, and not been asked for lately."""
    state, now = posting.state, posting.now
    due = _chosen([each for each in state.wants if _due(each, now)])
    if not due:
        return
    _be_heard(posting, {Slot(each.slot) for each in due if each.times})
    state.wants = [
        msgspec.structs.replace(each, asked=now, times=each.times + 1) if each in due else each
        for each in state.wants
    ]
    due = _ask_in_private(posting, due)
    if due:
        posting.post(
            Ask(
                tuple(each.name for each in due if each.kind == "core"),
                tuple((each.slot, each.name) for each in due if each.kind == "generation"),
                tuple((each.slot, _step(each)) for each in due if each.kind == "step"),
            )
        )


def _give_anew(posting: Posting) -> None:
    """Who was away for longer than content lives finds the way back by keys that are fresh."""
    behind, posting.state.behind = posting.state.behind, []
    _be_heard(posting, {slot for slot in behind if slot in posting.state.peers})


def _step(want: Want) -> int:
    return int.from_bytes(want.name)


def _ask_in_private(posting: Posting, due: list[Want]) -> list[Want]:
    """Ask over the line for steps that would tell others how much was said on it; the rest is left:
    a lost reply, without which there is no line, counts nothing.
    """
    lost: dict[Slot, list[Want]] = {}
    for each in due:
        peer = posting.state.peers.get(Slot(each.slot))
        answered = peer is not None and peer.line is not None and peer.line.answered
        if each.kind == "step" and answered:
            lost.setdefault(Slot(each.slot), []).append(each)
    for slot, wants in lost.items():
        posting.put(posting.line_block(slot, LostSteps(tuple(map(_step, wants)))).core)
    return [each for each in due if each not in lost.get(Slot(each.slot), [])]


def _be_heard(posting: Posting, unheard: set[Slot]) -> None:
    """Who asks in vain may lack nothing but listeners: two that lost each other's keys ask unheard.
    So what is asked again is asked under keys that rest on a fresh line block.
    """
    for slot in sorted(unheard):
        peer = posting.state.peers.get(slot)
        if peer is not None and peer.answers:
            posting.put(posting.line_block(slot, Nothing()).core)
        posting.state.renew = True


def _chosen(due: list[Want]) -> list[Want]:
    """Cores that authentic posts name come first: the rest may be noise."""
    vouched = [each for each in due if each.kind == "core"]
    rest = [each for each in due if each.kind != "core"][: limits.UNPROVED]
    return [*rest, *vouched][: limits.WANTED]


def _due(want: Want, now: Timestamp) -> bool:
    if want.times >= limits.ASKS:
        return False
    if want.asked:
        return now - want.asked >= limits.ASK_AGAIN
    return now - want.since >= limits.ASK_AFTER


def _renew(posting: Posting) -> None:
    """Once everybody greeted has answered, confirm with a sender key that rests on the answers."""
    waiting = any(peer.greeting is not None for peer in posting.state.peers.values())
    if posting.state.renew and not waiting:
        posting.new_generation()


def _read_again(posting: Posting) -> None:
    """One's own change holds once it is read back: if that was lost, it comes again."""
    draft = posting.state.draft
    if draft is not None and posting.now - draft.since >= limits.REPOST_AGAIN:
        posting.state.draft = msgspec.structs.replace(draft, since=posting.now)
        posting.effects.extend(Repost(core) for core in draft.unread)


def _hand_out(posting: Posting) -> None:
    """Draw a delay for what was just asked for; hand out what is due."""
    state, now = posting.state, posting.now
    for core, due in list(state.owed.items()):
        if due == 0:
            spread = limits.REPOST_DELAY + limits.REPOST_SPREAD * len(state.peers)
            delay = int.from_bytes(posting.entropy.draw(2)) % spread
            state.owed[core] = Timestamp(now + 1 + delay)
        elif due <= now:
            del state.owed[core]
            state.reposted[core] = now
            posting.effects.append(Repost(core))
