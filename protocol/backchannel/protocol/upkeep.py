"""What time asks of a member: to forget, answer, greet again, renew, ask, and hand out what was
asked for.

SPEC.md sections 4, 12, 14, 16 and 17. Each part is a step of one `tick`; none is a person's wish.
"""

import msgspec

from backchannel.protocol import epoch, limits, lobby
from backchannel.protocol.content import Ask, Nothing
from backchannel.protocol.core import head_of
from backchannel.protocol.line import forget
from backchannel.protocol.outcome import Repost
from backchannel.protocol.posting import Posting
from backchannel.protocol.state import ChannelState, Peer, Want
from backchannel.protocol.types import Hour, Slot, Timestamp, hour_of


def keep_up(posting: Posting) -> None:
    """All of it, in order. A newcomer is silent until it has its roster: its reply says so."""
    state = posting.state
    _forget(posting)
    if state.roster is not None:
        for slot in [slot for slot, peer in state.peers.items() if peer.reply_due]:
            posting.reply(slot)
        _greet(posting)
        _ask(posting)
        _renew(posting)
    _hand_out(posting)
    if state.close is not None:
        lobby.clean(posting)


def _forget(posting: Posting) -> None:
    state, now = posting.state, posting.hour
    oldest = state.oldest(now)
    posting.clock.forget_before(Hour(oldest - epoch.KEPT_BEHIND))
    state.transcript.forget(oldest)
    state.seen = {core: hour for core, hour in state.seen.items() if hour >= oldest}
    state.delivered = {name: hour for name, hour in state.delivered.items() if hour >= oldest}
    state.partial = {name: each for name, each in state.partial.items() if each.hour >= oldest}
    state.pending = [each for each in state.pending if head_of(each.core).hour >= oldest]
    state.wants = [each for each in state.wants if hour_of(each.since) >= oldest]
    state.threads = {name: each for name, each in state.threads.items() if each.until > now}
    late = Timestamp(posting.now - limits.REPOST_AGAIN)
    state.reposted = {core: at for core, at in state.reposted.items() if at > late}
    for peer in state.peers.values():
        _forget_peer(state, peer, oldest)


def _forget_peer(state: ChannelState, peer: Peer, oldest: Hour) -> None:
    if peer.line is not None:
        peer.line = forget(peer.line, oldest)
    peer.given = {name: core for name, core in peer.given.items() if core in state.seen}
    peer.steps = {step: core for step, core in peer.steps.items() if core in state.seen}
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
        if peer.line is None and slot < state.me:
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
    posting.post(
        Ask(
            tuple(each.name for each in due if each.kind == "core"),
            tuple((each.slot, each.name) for each in due if each.kind == "generation"),
            tuple((each.slot, int.from_bytes(each.name)) for each in due if each.kind == "step"),
        )
    )


def _be_heard(posting: Posting, unheard: set[Slot]) -> None:
    """Who asks in vain may lack nothing but listeners: two that lost each other's keys ask unheard.
    So what is asked again is asked under keys that rest on a fresh line block.
    """
    for slot in sorted(unheard):
        peer = posting.state.peers.get(slot)
        if peer is not None and peer.line is not None and peer.line.answered and not peer.reply_due:
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
