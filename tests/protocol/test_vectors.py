"""Known answers: every case opened by backchannel.protocol and by the second reader, alike."""

import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.support import open_main, open_second, vectors
from tests.support.make_vectors import __main__ as maker
from tests.support.vectors import Case, agrees, answer

READERS = {"backchannel": open_main.OPERATIONS, "the second reader": open_second.OPERATIONS}
FILES = vectors.files()


def wrong(case: Case, found: Any) -> str | None:
    """What is not as the case says."""
    if not agrees(case["expect"], found):
        return f"{case['expect']} expected, found {found!r}"
    if case["does"] == "line" and isinstance(found, list):
        return wrong_event(case["gives"], found)
    if case["expect"] == "ok" and found != case["gives"]:
        return f"gives {found!r}"
    return None


def wrong_event(told: list[dict[str, Any]], found: list[Any]) -> str | None:
    for number, (event, each) in enumerate(zip_longest(told, found)):
        other = event["expect"] == "ok" and each != event["gives"]
        if other or not agrees(event["expect"], each):
            return f"event {number}: {event['expect']} expected, found {each!r}"
    return None


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_case_is_opened_as_it_says(path: Path, reader: str) -> None:
    operations = READERS[reader]
    found = {
        case["name"]: wrong(case, answer(operations[case["does"]], case["given"]))
        for case in vectors.cases(path)
    }
    assert {name: why for name, why in found.items() if why} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_case_can_be_told_from_the_others(path: Path) -> None:
    cases = vectors.cases(path)
    assert len({case["name"] for case in cases}) == len(cases)
    assert {case["expect"] for case in cases} <= {"ok", *vectors.MEANS}
    assert all(("gives" in case) == (case["expect"] == "ok") for case in cases)


def test_both_readers_do_everything_that_a_vector_asks() -> None:
    asked = {case["does"] for path in FILES for case in vectors.cases(path)}
    assert set(open_main.OPERATIONS) >= asked
    assert set(open_second.OPERATIONS) == set(open_main.OPERATIONS)


def test_the_files_are_those_that_were_recorded() -> None:
    """They are not made anew unseen: that would be another protocol."""
    assert {path.name: vectors.digest(path) for path in FILES} == vectors.digests()
    assert {path.stem for path in FILES} == set(maker.FILES)


def test_what_is_there_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(vectors.FOLDER, tmp_path / "vectors"))
    monkeypatch.setattr(vectors, "FOLDER", folder)
    monkeypatch.setattr(vectors, "SUMS", folder / "SHA256SUMS")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "--force" in maker.main([])
    assert "lime" in maker.main(["--force", "epoch", "lime"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_one_file_is_made_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(vectors.FOLDER, tmp_path / "vectors"))
    before = vectors.digests()
    monkeypatch.setattr(vectors, "FOLDER", folder)
    monkeypatch.setattr(vectors, "SUMS", folder / "SHA256SUMS")
    assert not maker.main(["--force", "intro"])
    assert {name for name, each in vectors.digests().items() if each != before[name]} == {
        "intro.json"
    }
    assert {path.name: vectors.digest(path) for path in vectors.files()} == vectors.digests()


@pytest.mark.parametrize("name", [name for name in maker.FILES if name != "words"])
def test_vectors_can_be_made_anew(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but words, which take seconds: the cases are the same, their bytes are not."""
    monkeypatch.setattr(vectors, "FOLDER", tmp_path)
    kept = [
        case["name"] for case in vectors.cases(Path(__file__).parents[1] / f"vectors/{name}.json")
    ]
    maker.write(name)
    assert [case["name"] for case in vectors.cases(tmp_path / f"{name}.json")] == kept
