"""What was said, and the threads that it was said in: SPEC.md section 15. Takes authentic content
only.
"""

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.content import File, Text, Thread, Threads, sooner
from backchannel.protocol.missing import Partial
from backchannel.protocol.outcome import (
    NOBODY,
    Event,
    Leaf,
    Offered,
    Said,
    Shortened,
    ThreadBegan,
)
from backchannel.protocol.secret import FileKey
from backchannel.protocol.state import ChannelState, ThreadState
from backchannel.protocol.types import ContentHash, Hour, MessageId, Slot, ThreadId


def heard(
    state: ChannelState,
    author: Slot,
    message: MessageId,
    whole: Partial,
    content: Text | File,
    leaves: tuple[Leaf, ...] = (),
) -> Said | Offered:
    """The event of a text or file, with the hour when it dies; keeps its thread alive."""
    thread = ThreadId(content.thread)
    lifetime = min(content.lifetime, state.thread_lifetime(thread), state.lifetime)
    burn = sooner(content.burn, state.thread_burn(thread))
    known = state.threads.get(thread)
    if known is not None:
        until = Hour(max(known.until, whole.hour + state.lifetime))
        state.threads[thread] = msgspec.structs.replace(known, until=until)
    expires = Hour(whole.hour + lifetime)
    if isinstance(content, File):
        return Offered(
            message,
            thread,
            author,
            content.name,
            content.size,
            FileKey(content.key),
            tuple(ContentHash(core) for core in content.index),
            whole.sent,
            whole.order,
            whole.hash,
            expires,
            burn,
        )
    off = bool(content.off) or state.off_the_record(thread)
    return Said(
        message,
        thread,
        author,
        content.text,
        whole.sent,
        whole.order,
        whole.hash,
        expires,
        content.authority,
        content.release,
        bool(content.carried),
        content.about,
        content.quote,
        out_of_turn=out_of_turn(state, author),
        burn=burn,
        off=off,
        leaves=() if off else leaves,
    )


def out_of_turn(state: ChannelState, author: Slot) -> bool:
    """Whether somebody else has the floor; facilitators keep order and need none. Who might have it
    is not told.
    """
    return author != NOBODY and state.floor not in (None, author) and not state.facilitates(author)


def learn(state: ChannelState, author: Slot, content: Threads, hour: Hour) -> list[Event]:
    """Take in threads: what was heard first stands, but whoever began it or facilitates may shorten
    its lifetime and read timer, or take it off the record. Nobody fills the list alone.
    """
    events: list[Event] = []
    for each in content.threads:
        thread, until = ThreadId(each.thread), Hour(hour + state.lifetime)
        known = state.threads.get(thread)
        if known is not None:
            state.threads[thread] = now = _again(state, author, known, each, until)
            if _rules(now) != _rules(known):
                events.append(Shortened(thread, *_rules(now)))
        elif has_room(state, author):
            rules = min(each.lifetime, state.lifetime), each.burn, bool(each.off)
            lifetime, burn, off = rules
            state.threads[thread] = ThreadState(each.topic, lifetime, until, author, burn, off)
            events.append(ThreadBegan(thread, each.topic, *rules))
    return events


def _rules(thread: ThreadState) -> tuple[int, int, bool]:
    return thread.lifetime, thread.burn, thread.off


def _again(
    state: ChannelState, author: Slot, known: ThreadState, each: Thread, until: Hour
) -> ThreadState:
    known = msgspec.structs.replace(known, until=Hour(max(known.until, until)))
    if author != known.author and not state.facilitates(author):
        return known
    return tightened(known, each.lifetime, each.burn, off=bool(each.off))


def tightened(known: ThreadState, lifetime: int, burn: int, *, off: bool) -> ThreadState:
    """The earliest end wins, and what is off the record stays off it."""
    return msgspec.structs.replace(
        known,
        lifetime=min(known.lifetime, lifetime),
        burn=sooner(known.burn, burn),
        off=known.off or off,
    )


def has_room(state: ChannelState, author: Slot) -> bool:
    """Whether a member may begin another thread."""
    own = sum(each.author == author for each in state.threads.values())
    within = own < limits.THREADS_OF_ONE or state.facilitates(author)
    return within and len(state.threads) < limits.THREADS
