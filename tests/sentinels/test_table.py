"""The table of sentinels is complete and fits the code as it stands."""

import pytest

from tests.sentinels.run import ROOT, Sentinel, sentinels

ALL = sentinels()


def test_each_claim_has_a_sentinel() -> None:
    assert {each.claim for each in ALL} == {f"C{number}" for number in range(1, 9)}


@pytest.mark.parametrize("sentinel", ALL, ids=lambda each: f"{each.claim} {each.breaks}")
def test_a_sentinel_fits_the_code(sentinel: Sentinel) -> None:
    """What it replaces is there once, and the tests that it names are there."""
    assert (ROOT / sentinel.file).read_text("utf-8").count(sentinel.old) == 1
    assert sentinel.new != sentinel.old
    assert sentinel.tests
    for test in sentinel.tests:
        file, *_, name = test.replace("::runTest", "").split("::")
        assert name.partition("[")[0] in (ROOT / file).read_text("utf-8")


def test_no_two_sentinels_are_the_same() -> None:
    assert len({(each.file, each.old, each.new) for each in ALL}) == len(ALL)
