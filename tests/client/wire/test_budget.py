"""How many bytes a run may move: asked before each exchange, counted where they go through."""

import pytest

from backchannel.client.errors import Enough
from backchannel.client.wire.budget import AROUND, ROW, Budget


def test_without_a_bound_everything_has_room() -> None:
    budget = Budget()
    budget.count(1 << 40)
    assert budget.blocks(64) == 64
    with budget.hold(64, 1 << 40):
        pass
    assert (budget.bounded, budget.stopped) == (False, False)


@pytest.mark.parametrize(("left", "blocks"), [
    (AROUND + 64 * ROW, 64), (AROUND + 64 * ROW - 1, 63), (AROUND + 2 * ROW, 2),
    (AROUND + ROW, 1), (AROUND + ROW - 1, 1), (0, 1),
])  # fmt: skip
def test_there_are_as_many_blocks_as_have_room_and_one_to_be_refused(
    left: int, blocks: int
) -> None:
    budget = Budget(100_000 + left)
    budget.count(100_000)
    assert budget.blocks(64) == blocks


def test_an_exchange_has_room_to_the_last_byte_and_not_beyond() -> None:
    budget = Budget(AROUND + ROW + 6000)
    with budget.hold(1, 6000):
        assert not budget.stopped
    with pytest.raises(Enough), budget.hold(1, 6001):
        pytest.fail("there was no room")
    assert budget.stopped


def test_what_is_held_by_one_thread_is_not_there_for_another() -> None:
    budget = Budget(AROUND + 2 * ROW)
    with budget.hold(1), pytest.raises(Enough), budget.hold(1):
        pytest.fail("there was no room")
    with budget.hold(1):
        pass


def test_room_that_was_held_is_given_back_where_it_failed() -> None:
    budget = Budget(AROUND + ROW)
    with pytest.raises(OSError, match="broke"), budget.hold(1):
        raise OSError("broke")
    with budget.hold(1):
        pass
