"""What was said, and the threads that it was said in: SPEC.md section 15. Takes authentic content
only.
"""

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.content import File, Text, Thread, Threads
from backchannel.protocol.outcome import NOBODY, Event, Offered, Said, Shortened, ThreadBegan
from backchannel.protocol.secret import FileKey
from backchannel.protocol.state import ChannelState, Partial, ThreadState
from backchannel.protocol.types import ContentHash, Hour, MessageId, Slot, ThreadId


def heard(
    state: ChannelState, author: Slot, message: MessageId, whole: Partial, content: Text | File
) -> Said | Offered:
    """The event of a text or file, with the hour when it dies; keeps its thread alive."""
    thread = ThreadId(content.thread)
    lifetime = min(content.lifetime, state.thread_lifetime(thread), state.lifetime)
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
        )
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
    )


def out_of_turn(state: ChannelState, author: Slot) -> bool:
    """Whether somebody else has the floor; facilitators keep order and need none. Who might have it
    is not told.
    """
    return author != NOBODY and state.floor not in (None, author) and not state.facilitates(author)


def learn(state: ChannelState, author: Slot, content: Threads, hour: Hour) -> list[Event]:
    """Take in threads: what was heard first stands, but whoever began it or facilitates may shorten
    its lifetime. Nobody fills the list alone.
    """
    events: list[Event] = []
    for each in content.threads:
        thread, until = ThreadId(each.thread), Hour(hour + state.lifetime)
        known = state.threads.get(thread)
        if known is not None:
            state.threads[thread] = _again(state, author, known, each, until)
            if state.threads[thread].lifetime < known.lifetime:
                events.append(Shortened(thread, state.threads[thread].lifetime))
        elif has_room(state, author):
            lifetime = min(each.lifetime, state.lifetime)
            state.threads[thread] = ThreadState(each.topic, lifetime, until, author)
            events.append(ThreadBegan(thread, each.topic, lifetime))
    return events


def _again(
    state: ChannelState, author: Slot, known: ThreadState, each: Thread, until: Hour
) -> ThreadState:
    rules = author == known.author or state.facilitates(author)
    lifetime = min(known.lifetime, each.lifetime) if rules else known.lifetime
    until = Hour(max(known.until, until))
    return msgspec.structs.replace(known, lifetime=lifetime, until=until)


def has_room(state: ChannelState, author: Slot) -> bool:
    """Whether a member may begin another thread."""
    own = sum(each.author == author for each in state.threads.values())
    within = own < limits.THREADS_OF_ONE or state.facilitates(author)
    return within and len(state.threads) < limits.THREADS
