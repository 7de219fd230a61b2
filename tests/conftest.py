"""The same examples on every run, so that a change is to blame when a test fails. Nothing that is
slow on purpose is done twice, and long files begin first, on more workers than processors.

`HYPOTHESIS_PROFILE=long` explores instead: more examples, others each time.
"""

import os

import pytest
from hypothesis import settings

from tests.support import stretched

settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("long", print_blob=True)
settings.load_profile("long" if os.environ.get("HYPOTHESIS_PROFILE") == "long" else "steady")

stretched.remember(stretched.folder())

_LONG = ("system", "slow")
"""Marks of files that begin first, so that no worker begins one when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; those of a kind, and the tests of a file, stay in their order."""
    ranks = {item.path: len(_LONG) for item in items}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        here = [rank for rank, name in enumerate(_LONG) if name in marks]
        ranks[item.path] = min([ranks[item.path], *here])
    items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: whoever waits for a relay or a timer leaves the processor to another."""
    return 2 * len(os.sched_getaffinity(0))
