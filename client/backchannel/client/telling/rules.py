"""A channel's rules and roles in plain sentences. Decides nothing."""

from typing import Any, Final

from backchannel.client.errors import span
from backchannel.client.telling import phrases
from backchannel.protocol.permission import MAY, Act
from backchannel.protocol.roster import ROLES, Policy, Role
from backchannel.protocol.standing import pulse

UNATTRIBUTED: Final = "speak unattributed"
"""Where the policy allows it."""
DEEDS: Final[tuple[tuple[str, tuple[Act, ...]], ...]] = (
    ("read, compare words, leave", ("compared", "leave")),
    ("agree to longer lives", ("consent",)),
    ("speak, send notes and files", ("text", "note", "file")),
    ("ask for the floor", ("hand",)),
    ("let a message be carried", ("release",)),
    ("begin threads", ("threads",)),
    (UNATTRIBUTED, ("unattributed",)),
    ("vouch, or object", ("vouch",)),
    ("report incidents, answer them", ("incident", "attend")),
    ("test a hotline, convene", ("test", "convene")),
    ("come when convened", ("coming",)),
    ("say who is on duty", ("duty",)),
    ("invite and admit", ("invite", "candidate")),
    ("remove, roles, rules, epochs", ("roster", "proposal")),
    ("give the floor", ("floor",)),
    ("carry between channels", ("carry", "paraphrase")),
)
"""What people do, in their words, and by which acts. What programs do for them stands in none."""

STANDING: Final = {
    "open": "Talk is open.",
    "suspended": "Talk is suspended: nobody speaks until a facilitator resumes it.",
    "dormant": "The channel is dormant: nothing is expected, and everybody may still speak.",
    "closed": "The channel is closed for good.",
}
"""How a channel stands."""

FORMATS: Final = {
    "plenary": "everybody speaks with everybody",
    "bilateral": "two sides speak with each other",
    "shuttle": "a facilitator carries between two channels, what was released and nothing else",
    "hotline": "short and urgent, and soon forgotten",
    "workshop": "ideas without authors are welcome",
}


def sentences(policy: Policy) -> list[str]:
    """Each rule in a sentence."""
    return [
        f"A {policy.format}: {FORMATS[policy.format]}.",
        f"What is said is kept for {phrases.lifetime(policy.lifetime)}.",
        _unattributed(policy.unattributed),
        _vouches(policy.vouches),
        _pulse(policy),
        _cover(policy.cover),
        STANDING[policy.standing],
    ]


def _pulse(policy: Policy) -> str:
    hours = pulse(policy)
    if not hours:
        return "Programs do not tell by themselves that somebody is there."
    every = "hour" if hours == 1 else phrases.lifetime(hours)
    return f"Each member's program tells every {every} that it is there, whether or not you speak."


def _cover(seconds: int) -> str:
    if not seconds:
        return "Blocks go when somebody speaks: a relay sees when that is."
    return f"There is cover: one block in {span(seconds)} in the mean, whether or not you speak."


def _unattributed(fewest: int) -> str:
    if not fewest:
        return "Nobody may speak unattributed."
    return f"One may speak unattributed while {fewest} people have shown life within a day."


def _vouches(number: int) -> str:
    if not number:
        return "A facilitator admits without asking the members."
    members = "1 member has" if number == 1 else f"{number} members have"
    return f"A facilitator admits only for whom {members} vouched, and nobody objected."


def document(policy: Policy) -> dict[str, Any]:
    """The same for programs."""
    return {
        "kind": policy.format,
        "expires_hours": policy.lifetime,
        "unattributed": policy.unattributed,
        "vouches": policy.vouches,
        "pulse_hours": pulse(policy),
        "cover_seconds": policy.cover,
        "standing": policy.standing,
    }


def difference(old: Policy, new: Policy) -> list[str]:
    """The sentences that `new` brings."""
    known = sentences(old)
    return [each for each in sentences(new) if each not in known]


def may(role: Role, acts: tuple[Act, ...]) -> bool:
    """Whether a role may do all of them."""
    return MAY[role].issuperset(acts)


def table() -> list[tuple[str, dict[str, bool]]]:
    """Each deed, and which roles may do it."""
    return [(words, {role: may(role, acts) for role in ROLES}) for words, acts in DEEDS]
