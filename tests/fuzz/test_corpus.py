"""Every input that fuzzing kept is tried again, and so is what each target begins from."""

import pytest

from tests.fuzz.run import CORPUS, folder, kept
from tests.fuzz.target import Target
from tests.fuzz.targets import ALL


@pytest.mark.parametrize("target", ALL.values(), ids=lambda each: each.name)
def test_only_declared_exceptions_come_and_what_is_refused_changes_nothing(target: Target) -> None:
    for data in [*target.seeds(), *kept(target.name)]:
        target.attempt(data)


def test_the_corpus_is_of_targets_that_there_are() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= {folder(name).name for name in ALL}


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 2_000_000
