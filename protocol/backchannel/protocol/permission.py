"""What each role may do: the one table, asked before anything is said and when anything is read.

Knows roles and kinds of content; neither who has which role nor how it came.
"""

from typing import Final, Literal, get_args

from backchannel.protocol import content as c
from backchannel.protocol.roster import Role

Act = Literal[
    "text",
    "threads",
    "roster",
    "echo",
    "ask",
    "prekey",
    "leave",
    "digest",
    "compared",
    "proposal",
    "consent",
    "paraphrase",
    "release",
    "floor",
    "hand",
    "file",
    "candidate",
    "vouch",
    "test",
    "heard",
    "duty",
    "incident",
    "attend",
    "convene",
    "coming",
    "carry",
    "note",
    "unattributed",
    "invite",
]
"""The tag of each content, and what is no content of its own."""

_PRESENT: Final[frozenset[Act]] = frozenset(
    {"echo", "ask", "prekey", "leave", "digest", "compared", "consent"}
)
"""What being there asks for: who may not do this cannot take part in keys, record and consent."""
_SPEAKING: Final[frozenset[Act]] = frozenset({"text", "note", "file", "release", "hand", "coming"})
_TAKING_PART: Final[frozenset[Act]] = frozenset(
    {"threads", "vouch", "unattributed", "test", "heard", "incident", "attend", "convene"}
)

MAY: Final[dict[Role, frozenset[Act]]] = {
    "facilitator": frozenset(get_args(Act)),
    "participant": _PRESENT | _SPEAKING | _TAKING_PART,
    "observer": _PRESENT,
    "note-taker": _PRESENT | _SPEAKING,
}

_SAYS: Final[dict[Act, str]] = {
    "text": "speak",
    "threads": "begin threads",
    "roster": "change who is here, or by which rules",
    "proposal": "propose other rules",
    "paraphrase": "ask for other words",
    "release": "release anything",
    "floor": "give the floor",
    "hand": "ask for the floor",
    "file": "send files",
    "candidate": "present who waits",
    "vouch": "vouch for anybody",
    "test": "test the line",
    "heard": "answer for a party",
    "duty": "say who is on duty",
    "incident": "report incidents",
    "attend": "answer for a party",
    "convene": "call people together",
    "coming": "speak",
    "carry": "carry messages from elsewhere",
    "note": "send private notes",
    "unattributed": "speak unattributed",
    "invite": "invite or admit anybody",
}


def act_of(content: c.Content) -> Act:
    """What somebody does by saying this."""
    if isinstance(content, c.Text) and content.carried:
        return "carry"
    act: Act = content.__struct_config__.tag  # type: ignore[assignment]  # each content has one
    return act


def may(role: Role, act: Act) -> bool:
    """Whether the table allows it."""
    return act in MAY[role]


def refusal(role: Role, act: Act) -> str:
    """A sentence's beginning for who may not."""
    article = "an" if role[0] in "aeiou" else "a"
    return f"{article} {role} does not {_SAYS[act]}"
