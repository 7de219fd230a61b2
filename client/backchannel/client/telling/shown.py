"""One message as people see it: who, to whom, with what label, what it answers, its words.

From what the vault keeps of it and what is known of the channel. Prints nothing.
"""

import json
from typing import Any, NamedTuple

from backchannel.client.filter import one_line
from backchannel.client.telling import people, phrases
from backchannel.client.telling.reached import SHOWN, Reached
from backchannel.client.telling.terms import topic_of
from backchannel.client.vault.messages import Message
from backchannel.client.vault.volatile import CLOSED
from backchannel.protocol.content import sooner
from backchannel.protocol.outcome import NOBODY
from backchannel.protocol.state import ChannelState

SAID = frozenset({"text", "note", "file"})
"""Kinds that `read` shows; what else the vault keeps is shown by other verbs."""
_EXCERPT = 48  # characters of a message that is answered
Plain = dict[str, Any]


class Opened(NamedTuple):
    """A message, and what it holds."""

    message: Message
    plain: Plain

    @property
    def number(self) -> int:
        """What people call it on this machine."""
        return int(self.plain.get("number", 0))


def opened(messages: list[Message]) -> list[Opened]:
    """What was said, in order."""
    found = [Opened(each, json.loads(each.plain)) for each in messages]
    return [each for each in found if each.plain["kind"] in SAID]


def closed(messages: list[Message]) -> list[Message]:
    """What was off the record, and cannot be opened any more."""
    return [each for each in messages if each.plain == CLOSED]


def confined(found: Opened) -> str:
    """Why the words of a message are not to stand elsewhere, neither quoted nor carried, released
    or exported; empty where they may.
    """
    if found.message.off:
        return "is off the record"
    return {"note": "is a private note", "file": "is a file"}.get(found.plain["kind"], "")


def timer(found: Opened, state: ChannelState) -> int:
    """Hours that a message lives once it was shown; 0: no fewer than unread."""
    return sooner(found.plain.get("burn", 0), state.thread_burn(found.message.thread))


def document(
    found: Opened, state: ChannelState, channel: str, answered: Opened | None, reached: Reached = ""
) -> dict[str, Any]:
    """All of it, for programs."""
    message, plain = found
    topic = topic_of(state, message.thread)
    known = {
        "id": message.id.hex(),
        "number": found.number,
        "channel": channel,
        "thread": topic,
        "thread_id": message.thread.hex(),
        "from": _author(state, message, plain),
        "mark": _mark(state, message, plain),
        "you": message.author == state.me,
        "state": reached or None,
        "kind": plain["kind"],
        "unattributed": message.author == NOBODY,
        "text": plain.get("text", ""),
        "authority": plain.get("authority", ""),
        "release": plain.get("release", "no"),
        "carried": bool(plain.get("carried")),
        "out_of_turn": bool(plain.get("out_of_turn")),
        "to": plain.get("to"),
        "answers": plain.get("about") or None,
        "answers_number": answered.number if answered else None,
        "quote": plain.get("quote", ""),
        "off_record": message.off,
        "burns_hours": plain.get("burn") or None,
        "sent_at": phrases.stamp(message.hour),
        "expires_at": phrases.stamp(message.expires),
    }
    if plain["kind"] == "file":
        known |= {"name": plain["name"], "size": plain["size"]}
    return known


def heading(found: Opened, state: ChannelState, reached: Reached = "") -> str:
    """`7  Heron (unverified) in main [own]`."""
    message, plain = found
    beside = _mark(state, message, plain)
    author = one_line(_author(state, message, plain)) + (f" ({beside})" if beside else "")
    where = _to(state, message, plain) or f"in {one_line(topic_of(state, message.thread))}"
    labels = ", ".join([*_labels(message, plain), *filter(None, [SHOWN.get(reached)])])
    return f"{found.number:>3}  {author} {where}" + (f" [{labels}]" if labels else "")


def refers(state: ChannelState, plain: Plain, answered: Opened | None) -> list[str]:
    """What it answers, in a line each."""
    lines = []
    if answered is not None:
        author = people.shown(state, answered.message.author)
        lines.append(f"answers {answered.number}, {author}: {excerpt(answered.plain)}")
    elif plain.get("about"):
        lines.append("answers a message that is not here, or no more")
    if plain.get("quote"):
        lines.append(f"quotes: “{one_line(plain['quote'])}”")
    return lines


def body(found: Opened) -> str:
    """The words, or what stands for them."""
    plain = found.plain
    if plain["kind"] == "file":
        return f"{one_line(plain['name'])}, {phrases.size(plain['size'])}"
    return str(plain["text"])


def excerpt(plain: Plain) -> str:
    """A few of its words, in one line."""
    if plain["kind"] == "file":
        return one_line(plain["name"])
    text = " ".join(one_line(plain["text"]).split())
    return f"“{text}”" if len(text) <= _EXCERPT else f"“{text[: _EXCERPT - 1]}…”"


def _author(state: ChannelState, message: Message, plain: Plain) -> str:
    """The name that it was said under: the place may be somebody else's by now."""
    if message.author == NOBODY:
        return people.SOMEBODY
    return plain.get("from") or people.alias(state, message.author)


def _mark(state: ChannelState, message: Message, plain: Plain) -> str:
    now = people.alias(state, message.author)
    if message.author != NOBODY and plain.get("from") not in (None, "", now):
        return people.GONE
    return people.mark(state, message.author)


def _to(state: ChannelState, message: Message, plain: Plain) -> str:
    if plain["kind"] != "note":
        return ""
    if message.author != state.me:
        return "to you alone"
    return f"to {one_line(plain['to'])} alone"


def _labels(message: Message, plain: Plain) -> list[str]:
    labels = [plain["authority"]] if plain.get("authority") and message.author != NOBODY else []
    labels += ["unattributed"] if message.author == NOBODY else []
    labels += ["carried from elsewhere"] if plain.get("carried") else []
    labels += ["out of turn"] if plain.get("out_of_turn") else []
    labels += ["off the record"] if message.off else []
    burn = plain.get("burn")
    labels += [f"burns {phrases.lifetime(burn)} after reading"] if burn else []
    release = plain.get("release", "no")
    labels += {"exact": ["may be carried"], "paraphrase": ["may be carried in other words"]}.get(
        release, []
    )
    return labels
