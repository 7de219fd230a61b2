"""Who is on duty on a hotline, and who echoes a test: SPEC.md section 15, "Hotline".

Takes authentic signals only, of somebody who may give them. What is said of incidents it hands on:
how one stands is folded from messages, elsewhere, and dies with them.
"""

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.alias import alike
from backchannel.protocol.command import Ring
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.hotline import (
    Duties,
    Duty,
    Heard,
    Named,
    Signal,
    Test,
    Trial,
    Watch,
    Watched,
    has,
    hour_of_week,
)
from backchannel.protocol.missing import Partial
from backchannel.protocol.outcome import Event, Expired, Rang
from backchannel.protocol.permission import may
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Entry
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, IdentityHash, MessageId, Slot, Timestamp

FORMAT = "hotline"
"""Of the channels whose programs echo tests."""


def told(
    state: ChannelState,
    author: Slot,
    message: MessageId,
    whole: Partial,
    signal: Signal,
    now: Hour,
) -> list[Event]:
    """Take in what somebody said on a hotline, oneself included."""
    if isinstance(signal, Duty):
        _learn(state, author, whole, signal)
    if isinstance(signal, Test):
        _try(state, author, message, whole.sent, now)
    if isinstance(signal, Heard):
        _spare(state, author, signal.test)
    expires = Hour(whole.hour + state.lifetime)
    if expires <= now:
        return [] if isinstance(signal, Test | Heard | Duty) else [Expired(author)]
    return [Rang(message, author, signal, whole.sent, whole.order, whole.hash, expires)]


def ring(posting: Posting, command: Ring) -> None:
    """Say it, and take it in as others will."""
    state, signal = posting.state, command.signal
    if isinstance(signal, Test) and not _may_try(state, state.me, posting.hour):
        msg = f"one member tests the line {limits.TESTS_OF_ONE} times an hour at most"
        raise LocalProtocolError(msg)
    posted = posting.post(signal)
    said = told(state, state.me, posted.id, posted.whole, signal, posting.hour)
    posting.events.extend(said)


# The duty list.


def _learn(state: ChannelState, author: Slot, whole: Partial, duty: Duty) -> None:
    """The last one stands; one that is retold, where there is none."""
    place = Hour(0), 0, whole.hash
    if not duty.retold:
        place = whole.sent, whole.order, whole.hash
    former = state.hotline.duties
    if former is not None and (duty.retold or place <= former.told):
        return
    here = {each.slot: IdentityHash(each.identity) for each in _entries(state)}
    state.hotline.duties = Duties(
        author,
        place,
        duty.tests,
        tuple(
            Watched(Slot(each.slot), here[each.slot], each.hours)
            for each in duty.watches
            if each.slot in here
        ),
        tuple(Watched(Slot(slot), here[slot]) for slot in duty.ladder if slot in here),
    )


def retell(posting: Posting) -> None:
    """Tell who lacks it."""
    duties = posting.state.hotline.duties
    if duties is None:
        return
    watches = still_here(posting.state, duties.watches)
    ladder = still_here(posting.state, duties.ladder)
    posting.post(
        Duty(
            duties.tests,
            tuple(Watch(each.slot, each.hours) for each in watches),
            tuple(each.slot for each in ladder),
            1,
        )
    )


def still_here(state: ChannelState, watched: tuple[Watched, ...]) -> list[Watched]:
    """Those who are still here: who has come to somebody's slot since is not on duty for it."""
    here = {(each.slot, each.identity) for each in _entries(state)}
    return [each for each in watched if (each.slot, each.identity) in here]


def on_duty(state: ChannelState, hour: int) -> list[Slot]:
    """Who is, in an hour of the week."""
    duties = state.hotline.duties
    watches = still_here(state, duties.watches) if duties is not None else []
    return [each.slot for each in watches if has(each.hours, hour)]


def _entries(state: ChannelState) -> tuple[Entry, ...]:
    return state.roster.entries if state.roster is not None else ()


# Tests.


def _try(state: ChannelState, author: Slot, message: MessageId, sent: Hour, now: Hour) -> None:
    """Note a test to echo: not one's own party's, nor an old one, nor more than a few."""
    if now - sent > limits.HEARD_HOURS or not _may_try(state, author, sent):
        return
    over = author == state.me or _same_party(state, author, state.me)
    state.hotline.trials.append(Trial(author, message, sent, over=over))


def _may_try(state: ChannelState, author: Slot, hour: Hour) -> bool:
    tried = [e for e in state.hotline.trials if (e.slot, e.hour) == (author, hour)]
    return len(tried) < limits.TESTS_OF_ONE


def _spare(state: ChannelState, author: Slot, test: Named) -> None:
    """Somebody of one's party was faster."""
    if author == state.me or _same_party(state, author, state.me):
        state.hotline.trials = [
            msgspec.structs.replace(each, over=True) if _is(each, test) else each
            for each in state.hotline.trials
        ]


def _is(trial: Trial, test: Named) -> bool:
    return (trial.slot, trial.id) == (test.slot, test.id)


def _same_party(state: ChannelState, one: Slot, other: Slot) -> bool:
    parties = {each.slot: each.party for each in _entries(state)}
    return one in parties and other in parties and alike(parties[one], parties[other])


def forget(state: ChannelState, now: Hour) -> None:
    """Let go of tests that are history."""
    kept = [each for each in state.hotline.trials if now - each.hour <= limits.HEARD_HOURS]
    state.hotline.trials = kept


def echo(posting: Posting) -> None:
    """Echo what is due: who is on duty for the party at once, the others when nobody has."""
    state, now = posting.state, posting.now
    if state.policy.format != FORMAT or not may(state.current().entry(state.me).role, "heard"):
        return
    for trial in state.hotline.trials:
        if trial.over:
            continue
        due = trial.due or _moment(posting)
        _put(state, trial, msgspec.structs.replace(trial, due=due))
        if due <= now:
            test = Named(trial.slot, trial.id)
            posting.post(Heard(test))
            _spare(state, state.me, test)


def _put(state: ChannelState, old: Trial, new: Trial) -> None:
    state.hotline.trials = [new if each is old else each for each in state.hotline.trials]


def _moment(posting: Posting) -> Timestamp:
    """When to echo: now, for the first of the party who is on duty, or of all where nobody is."""
    state, me = posting.state, posting.state.me
    entries = [e for e in _entries(state) if may(e.role, "heard")]
    party = [Slot(e.slot) for e in entries if e.slot == me or _same_party(state, Slot(e.slot), me)]
    duty = on_duty(state, hour_of_week(posting.hour))
    first = min([slot for slot in party if slot in duty] or party)
    if first == me:
        return posting.now
    spread = limits.REPOST_DELAY + limits.REPOST_SPREAD * len(party)
    drawn = int.from_bytes(posting.entropy.draw(2)) % spread
    return Timestamp(posting.now + limits.HEARD_AFTER + drawn)
