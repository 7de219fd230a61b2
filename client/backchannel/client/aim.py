"""Commands that a person is told to type: names in them as a shell wants them, and where there are
several channels, the one that they just named. Pure; knows by name which verbs take `--channel`:
loading them takes long.
"""

import re
from typing import Final

ALONE: Final = frozenset(
    {
        "join", "status", "roles", "carry", "unlock", "lock", "tick", "duress", "passphrase",
        "backup", "restore", "retention", "doctor", "paths", "demo", "channel new", "channel list",
        "channel kinds", "channel apply", "courier take", "transcript check",
    }
)  # fmt: skip
"""Verbs that mean no channel, or all of them."""
GROUPS: Final = {
    "policy": ("set", "agree"), "epoch": ("turn",), "record": ("compare",),
    **dict.fromkeys(("thread", "file", "hand", "courier", "incident", "convene", "hotline"), None),
    **dict.fromkeys(("duty", "channel", "relay", "transcript", "floor"), None),
}  # fmt: skip
"""Verbs with verbs of their own; named are those of a verb that is also typed alone."""

_COMMAND = re.compile(
    r"(?<!for: )backchannel (?P<verb>[a-z]+)(?: (?P<below>[a-z]+))?(?=(?P<rest>[^:;,.]*))"
)
"""Not what somebody else is to be asked for."""


def quoted(name: str) -> str:
    """A name that somebody chose, as one word for the shell."""
    import shlex

    return shlex.quote(name)


def aimed(text: str, channel: str | None) -> str:
    """`text` with `--channel` behind each verb that wants it; as it is where none was named."""
    if not channel:
        return text
    chosen = f" --channel {quoted(channel)}"

    def named(found: re.Match[str]) -> str:
        verb, whole, rest = _verb(found["verb"], found["below"]), found[0], found["rest"]
        if verb in ALONE or found["verb"] in ALONE or "--channel" in rest or "--help" in rest:
            return whole
        end = len("backchannel ") + len(verb)
        return whole[:end] + chosen + whole[end:]

    return _COMMAND.sub(named, text)


def _verb(verb: str, below: str | None) -> str:
    if below is None or verb not in GROUPS:
        return verb
    known = GROUPS[verb]
    return f"{verb} {below}" if known is None or below in known else verb
