"""What was said, and the threads that it was said in: SPEC.md section 15. Takes authentic content
only.
"""

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.content import Text, Thread, Threads
from backchannel.protocol.outcome import Event, Said, ThreadBegan
from backchannel.protocol.state import ChannelState, Partial, ThreadState
from backchannel.protocol.types import Hour, MessageId, Slot, ThreadId


def said(
    state: ChannelState, author: Slot, message: MessageId, whole: Partial, content: Text
) -> Said:
    """The event of a text, with the hour when it dies; keeps its thread alive."""
    thread = ThreadId(content.thread)
    lifetime = min(content.lifetime, state.thread_lifetime(thread), state.lifetime)
    known = state.threads.get(thread)
    if known is not None:
        until = Hour(max(known.until, whole.hour + state.lifetime))
        state.threads[thread] = msgspec.structs.replace(known, until=until)
    return Said(
        message,
        thread,
        author,
        content.text,
        whole.sent,
        whole.order,
        whole.hash,
        Hour(whole.hour + lifetime),
    )


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
