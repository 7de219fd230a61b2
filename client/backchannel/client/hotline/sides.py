"""Which parties face each other on a hotline, and who stands for them. Knows entries only."""

from collections.abc import Iterable

from backchannel.protocol.alias import alike
from backchannel.protocol.format import Seat

_VOICES = ("participant", "facilitator")


def sides(seats: Iterable[Seat]) -> list[str]:
    """Parties of who participates; where they are fewer than two, of who facilitates, too."""
    here, found = list(seats), list[str]()
    for role in _VOICES:
        for each in here if len(found) < 2 else ():
            if each.role == role and not has(found, each.party):
                found.append(each.party)
    return found


def others(seats: Iterable[Seat], party: str) -> list[str]:
    """The sides that are not this party's."""
    return [each for each in sides(seats) if not alike(each, party)]


def speaks(party: str, role: str, of: list[str]) -> bool:
    """Whether a member stands for one of these sides."""
    return role in _VOICES and has(of, party)


def has(parties: Iterable[str], party: str) -> bool:
    """Whether a party is among them, however it is spelt."""
    return any(alike(each, party) for each in parties)
