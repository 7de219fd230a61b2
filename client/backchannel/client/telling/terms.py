"""Words that people type and read where the protocol has lists and numbers: roles, kinds of talk,
labels, threads. They stand here, too, since loading the protocol takes too long for `--help`.
"""

from typing import TYPE_CHECKING

from backchannel.protocol.types import MAIN_THREAD, ThreadId

if TYPE_CHECKING:
    from backchannel.protocol.state import ChannelState

ROLES = ("facilitator", "participant", "observer", "note-taker")
FORMATS = ("plenary", "bilateral", "shuttle", "hotline", "workshop")
"""Kinds of talk."""

AUTHORITY = ("own", "sounding", "checked")
RELEASE = ("no", "exact", "paraphrase")
"""Labels of what is said."""

MAIN = "main"
"""What the channel's own thread is called."""


def topic_of(state: "ChannelState", thread: ThreadId) -> str:
    """How a thread is called; a part of its id where nobody told."""
    if thread == MAIN_THREAD:
        return MAIN
    known = state.threads.get(thread)
    return known.topic if known else thread.hex()[:8]
