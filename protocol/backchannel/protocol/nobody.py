"""What nobody in particular says, and when somebody may say it so: SPEC.md section 15.

Whoever says it keeps nothing of it: it is read back from the relay, by its author as by all.
"""

from backchannel.protocol import limits, standing
from backchannel.protocol.command import SayUnattributed
from backchannel.protocol.content import Text
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import LocalProtocolError, RefusedError, StaleError, UnknownError
from backchannel.protocol.missing import Partial
from backchannel.protocol.outcome import NOBODY, Alone, Event, Expired
from backchannel.protocol.permission import may
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.reception import Reception
from backchannel.protocol.state import ChannelState
from backchannel.protocol.threads import heard
from backchannel.protocol.types import Hour, MessageId, Slot, ThreadId, hour_of
from backchannel.protocol.unattributed import Unattributed, open_unattributed, seal_unattributed


def speak(posting: Posting, command: SayUnattributed) -> None:
    """One block for each relay, each on a connection of its own. Changes nothing: no state, no
    record, no core that is kept could name the author afterwards.
    """
    state, epoch = posting.state, posting.epoch
    if state.off_the_record(command.thread):  # whoever has the hour's clock opens it again
        msg = "off the record nobody speaks unattributed: such a message can be read back"
        raise LocalProtocolError(msg)
    _check_cover(state, posting.hour)
    lifetime = state.thread_lifetime(command.thread)
    post = Unattributed(command.thread, lifetime, tidy(command.text))
    head = posting.head(Kind.UNATTRIBUTED)
    core = seal_unattributed(post, epoch.secret, posting.clock, head)
    for relay, drop in epoch.drops():
        posting.effects.append(Alone(relay.url, drop, posting.block(drop, core)))


def _check_cover(state: ChannelState, now: Hour) -> None:
    """Enough people who might have written it. Oneself counts as others do, by what all have seen:
    otherwise what is said at the threshold would come from somebody who was silent.
    """
    fewest, shown = state.policy.unattributed, cover(state, now)
    if not fewest:
        msg = "this channel takes no unattributed messages: a facilitator can change its rules"
        raise LocalProtocolError(msg)
    if shown < fewest:
        msg = (
            f"{shown} of the {fewest} people that it takes were heard in the last "
            f"{limits.COVER_HOURS} hours: the author would be too easy to guess. Try again later"
        )
        raise LocalProtocolError(msg)


def cover(state: ChannelState, now: Hour) -> int:
    """How many who may speak so were heard lately, oneself included."""
    return sum(
        now - state.alive.get(Slot(entry.slot), 0) < limits.COVER_HOURS
        for entry in state.current().entries
        if may(entry.role, "unattributed")
    )


def take_unattributed(reception: Reception) -> list[Event]:
    """Read one, one's own included. It names nobody, so it shows nobody's life, and stands in no
    record: see SPEC.md.
    """
    state, head = reception.state, reception.head
    _check_time(reception)
    if not state.policy.unattributed:
        msg = "this channel takes no unattributed messages"
        raise RefusedError(msg)
    if standing.hushed(state, head.hour):
        raise StaleError(standing.SPOKE)
    post = open_unattributed(reception.core, reception.epoch.secret, reception.clock, head)
    whole = Partial(1, head.hour, reception.hour, 0, reception.hash, {})
    text = Text.plain(ThreadId(post.thread), post.lifetime, post.text)
    event = heard(state, NOBODY, MessageId(reception.hash[: limits.ID]), whole, text)
    return [event if event.expires > hour_of(reception.now) else Expired(NOBODY)]


def _check_time(reception: Reception) -> None:
    """In the current epoch, and since the reader came: whoever is gone has an ended one's keys."""
    if reception.epoch.ending is not None:
        msg = "an unattributed message of an epoch that is over"
        raise StaleError(msg)
    if reception.state.roster is None:
        msg = "an unattributed message before the list of members"
        raise UnknownError(msg)
    if reception.head.hour <= reception.state.since:
        msg = "an unattributed message that may be from before my time"
        raise StaleError(msg)
