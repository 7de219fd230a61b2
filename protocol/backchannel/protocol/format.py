"""What kind of talk a channel is for, and whom its roster holds then: SPEC.md section 9.

Pure: asked before somebody is invited, before a roster is issued, and by everybody who adopts one.
Knows no names but those of parties.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from backchannel.protocol.alias import alike
from backchannel.protocol.errors import RefusedError
from backchannel.protocol.roster import Format, Policy, Role

PARTIES: Final[dict[Format, int]] = {"bilateral": 2, "shuttle": 1}
"""How many parties sit in such a channel, besides whoever facilitates; any number in the others."""
ATTRIBUTED: Final[frozenset[Format]] = frozenset({"hotline"})
"""Where everybody must know who speaks: a warning from nobody in particular starts a crisis."""

HOURS: Final[dict[Format, int]] = {"hotline": 72}
"""The longest that content lives: what is said in a crisis is not for the record."""


class Seat(Protocol):
    """An entry, or somebody who is invited to become one."""

    @property
    def party(self) -> str:
        """The side that it stands for."""
        ...

    @property
    def role(self) -> Role:
        """What it may do."""
        ...


def parties(seats: Iterable[Seat]) -> list[str]:
    """The sides at the table, each once: whoever facilitates is no side, nor do those who only
    read or keep notes for the facilitators' own party make it one.
    """
    here, found = list(seats), list[str]()
    conveners = [each.party for each in here if each.role == "facilitator"]
    for each in here:
        helps = each.role != "participant" and _has(conveners, each.party)
        if each.role != "facilitator" and not helps and not _has(found, each.party):
            found.append(each.party)
    return found


def _has(names: Sequence[str], name: str) -> bool:
    return any(alike(name, each) for each in names)


def check_format(policy: Policy, seats: Iterable[Seat]) -> None:
    """`RefusedError` unless these may sit together under this policy."""
    most, kind = PARTIES.get(policy.format), policy.format
    if most is not None and len(parties(seats)) > most:
        count = "one party" if most == 1 else f"{most} parties"
        msg = f"a {kind} channel has at most {count} besides whoever facilitates"
        raise RefusedError(msg)
    if policy.lifetime > HOURS.get(kind, policy.lifetime):
        msg = f"what is said in a {kind} channel is kept for at most {HOURS[kind]} hours"
        raise RefusedError(msg)
    if kind in ATTRIBUTED and policy.unattributed:
        msg = f"a {kind} channel has no unattributed posts"
        raise RefusedError(msg)
