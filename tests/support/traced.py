"""A pytest plugin: only tests of tests/protocol/ are traced, and of these not the slow ones.

Tracing doubles the time of a test, and these alone must try every branch of protocol/.
"""

from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

_TRACED = Path(__file__).parents[1] / "protocol"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With all that a test sets up; what is done on import is always traced."""
    tracer = coverage.Coverage.current()
    if tracer is None or _traced(item):
        return (yield)
    tracer.stop()
    try:
        return (yield)
    finally:
        tracer.start()


def _traced(item: pytest.Item) -> bool:
    return item.path.is_relative_to(_TRACED) and item.get_closest_marker("slow") is None
