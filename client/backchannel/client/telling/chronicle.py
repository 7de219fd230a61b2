"""What facilitators did, what went wrong, and what one should know, in sentences."""

import re
from collections.abc import Mapping
from typing import Any, Final

from backchannel.client.telling import phrases

_DID: Final = {
    "came": "admitted {alias} as {detail}",
    "removed": "removed {alias}",
    "compromised": "removed {alias}, whose device is in other hands",
    "left": "let {alias} go, who had left",
    "replaced": "let {alias} go, whose place somebody else has taken",
    "role": "made {alias} {detail}",
    "policy": "changed the rules: {detail}",
    "epoch": "began epoch {detail}, with new keys",
    "merged": "made one list of members out of two",
    "relays": "moved the channel: it is at {detail} now",
}
_KEPT: Final = re.compile(r"lifetime ([0-9]+) -> ([0-9]+)")
_STOOD: Final = re.compile(r"standing [a-z]+ -> ([a-z]+)")
_STANDS: Final = {
    "open": "talk is open again",
    "suspended": "nobody speaks until a facilitator resumes the channel",
    "dormant": "nothing is expected for now, and everybody may still speak",
    "closed": "the channel is closed for good",
}
_RULES: Final = {
    "pulse": "hours between heartbeats",
    "format": "kind",
    "unattributed": "people for an unattributed message",
    "vouches": "vouches",
}
_ALARM: Final = {
    "fork": (
        "{alias} sent two different messages as one: some of you may have seen the one, some the "
        "other."
    ),
    "cited": (
        "Others accepted something of {alias} that was not valid for this machine: somebody wants "
        "you to see less than they do."
    ),
    "rival": (
        "There are two lists of members; one of them is by {alias}. Nothing is said until a "
        "facilitator has settled it: backchannel epoch turn"
    ),
    "foreign": "{alias} goes by a list of members that was never announced here.",
    "epoch": "{alias} gave this machine other keys than the list of members says.",
    "forbidden": "{alias} did what its role does not allow; it was refused.",
    "record": "The record of {alias} differs from yours: you were shown different conversations.",
    "compromised": (
        "The device of {alias} was reported as lost or taken. Distrust what came in that name "
        "lately; what had not expired can be read on it."
    ),
    "silent": (
        "Nothing was heard of {alias} for longer than three heartbeats. That may be a cut line, a "
        "locked vault or a machine that is off: try another way to reach them."
    ),
}
_NOTICE: Final = {
    "away": (
        "This machine did not read here for {detail}, which is longer than what is said is kept: "
        "what you did not read has expired"
    ),
    "lost": "Another facilitator was first; your change was not made. Do it again if still wanted.",
    "shortened": "What is said is kept shorter: {detail}.",
    "off-record": "A thread is off the record from now on; what is said there is kept {detail}.",
    "relays": "The channel is at {detail} now. You have to do nothing.",
    "replaced": "{alias} greeted anew: their program had lost its keys. Compare words again.",
    "refused-draft": "An unattributed message was not sent: {detail}",
    "unsent": "{detail}",
}


def done(change: Mapping[str, str]) -> str:
    """One change of a roster, as what its facilitator did."""
    detail = change["detail"]
    if change["what"] == "policy":
        detail = _KEPT.sub(_kept, detail)
        detail = _STOOD.sub(lambda found: _STANDS.get(found[1], found[0]), detail)
        for name, words in _RULES.items():
            detail = detail.replace(f"{name} ", f"{words} ")
    if change["what"] in {"came", "role"}:
        detail = f"{'an' if detail[:1] in 'aeiou' else 'a'} {detail}"
    return _DID.get(change["what"], "{what}").format(**{**change, "detail": detail})


def _kept(hours: re.Match[str]) -> str:
    before, after = (phrases.lifetime(int(each)) for each in hours.groups())
    return f"content is kept {before} -> {after}"


def acts(changes: list[dict[str, str]]) -> str:
    """All of one roster; one that changes nothing was still an act."""
    return "; ".join(map(done, changes)) or "renewed the list of members"


def alarm(each: Mapping[str, Any]) -> str:
    """What an honest channel does not show."""
    return _ALARM.get(each["kind"], "{kind}: {alias}").format(**each)


def notice(each: Mapping[str, Any]) -> str:
    """What one should know."""
    if each["what"] == "ended":
        return phrases.over(each["detail"])
    return phrases.sentence(_NOTICE.get(each["what"], "{what} {alias} {detail}").format(**each))
