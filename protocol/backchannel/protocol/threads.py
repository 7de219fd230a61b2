"""What was said, and the threads that it was said in: SPEC.md section 15. Takes authentic content
only.
"""

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.content import Text, Threads
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


def learn(state: ChannelState, content: Threads, hour: Hour) -> list[Event]:
    """Take in threads: the first topic heard stands, of lifetimes the least."""
    events: list[Event] = []
    for each in content.threads:
        thread = ThreadId(each.thread)
        known = state.threads.get(thread)
        if known is None and len(state.threads) >= limits.THREADS:
            continue
        lifetime = min(each.lifetime, known.lifetime if known else state.lifetime)
        topic = known.topic if known else each.topic
        until = Hour(max(known.until if known else 0, hour + state.lifetime))
        state.threads[thread] = ThreadState(topic, lifetime, until)
        if known is None:
            events.append(ThreadBegan(thread, topic, lifetime))
    return events
