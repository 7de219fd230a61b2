"""What a client makes of a relay that came back from a backup: SPEC.md section 18."""

import pytest

from backchannel.client.rounds.drops import _missed
from backchannel.client.rounds.joining import after
from backchannel.client.vault.cursors import Cursor
from backchannel.protocol.drop import Page, Stored
from backchannel.protocol.limits import RESTORED
from backchannel.protocol.types import Block, Hour


def page(following: int, *positions: int) -> Page:
    block = Block(bytes(4096))
    return Page(following, False, tuple(Stored(each, Hour(9), block) for each in positions))


@pytest.mark.parametrize(
    ("cursor", "shown", "missed"),
    [
        (0, page(40, 39), 0),  # a drop never read
        (10, page(12, 10, 11), 0),
        (10, page(15, 13, 14), 3),
        (10, page(10), 0),
        (10, page(4 + RESTORED), 0),  # came back, and had known less than this client
        (10, page(40 + RESTORED, 39 + RESTORED), 0),
        (10, page(30 + RESTORED), 0),
        (10 + RESTORED, page(15 + RESTORED, 14 + RESTORED), 4),
    ],
)
def test_what_a_relay_passed_over_is_not_counted_as_missed(
    cursor: int, shown: Page, missed: int
) -> None:
    assert _missed(Cursor(cursor, Hour(0)), shown) == missed
    assert after(Cursor(cursor, Hour(0)), shown).position == shown.following
