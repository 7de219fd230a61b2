"""The demo clock: whole hours from a file that a running relay follows; nothing without it."""

from pathlib import Path

import pytest
import time_machine

from backchannel.server.clock import Clock

NOW = 1_800_000_000


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return tmp_path / "demo-hours"


@time_machine.travel(NOW, tick=False)
def test_without_the_file_it_is_the_systems_time(demo: Path) -> None:
    assert Clock(demo).now() == NOW


@time_machine.travel(NOW, tick=False)
def test_the_file_moves_it_by_hours_while_it_runs(demo: Path) -> None:
    clock = Clock(demo)
    for hours in (3, -2, 100):
        fresh = demo.with_suffix(".new")
        fresh.write_text(f"{hours}\n")
        fresh.replace(demo)
        assert clock.now() == NOW + 3600 * hours


@time_machine.travel(NOW, tick=False)
def test_what_is_no_number_moves_nothing(demo: Path) -> None:
    demo.write_text("soon")
    assert Clock(demo).now() == NOW
