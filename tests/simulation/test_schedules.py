"""Claim C8: whatever network, clocks and devices do, every claim holds in random schedules.

The same seeds each time; `make schedules` tries 100,000.
"""

import pytest

from tests.simulation.claims import Broken
from tests.simulation.person import Person
from tests.simulation.run import Run, run
from tests.simulation.schedule import draw
from tests.simulation.shrink import shrunk
from tests.simulation.starts import by_script, founded


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_claims_hold_in_schedules_drawn_at_random(first: int) -> None:
    for seed in range(first, first + 20):
        try:
            run(draw(seed))
        except Broken as error:
            pytest.fail(f"{error}\n{shrunk(draw(seed))}")


def test_a_seed_gives_the_same_run_again() -> None:
    ends = []
    for _ in range(2):
        with by_script():
            one = Run(draw(7))
            one.run()
        ends.append([person.saved().disk.state for person in one.scene.people])
    assert ends[0] == ends[1]


def test_a_message_that_is_lost_is_found_and_its_schedule_is_shrunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test of the tests: where a shell forgets what it owes, a claim breaks."""

    def forgetful(self: Person, most: int | None = None) -> None:
        del most
        self.disk = self.disk.__class__(**{**vars(self.disk), "outbox": ()})

    schedule = draw(1)
    with by_script():
        founded(schedule.shape)
    monkeypatch.setattr(Person, "flush", forgetful)
    least = shrunk(schedule)
    with pytest.raises(Broken):
        run(least)
    assert len(least.steps) < len(schedule.steps)
