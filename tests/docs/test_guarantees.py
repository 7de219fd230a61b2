"""docs/guarantees.md: each promise says what it leaves out, and no run is green untested."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cited import ROOT, exists
from tests.support.guarantees import Guarantee, read, unkept

DOCUMENT = ROOT / "docs" / "guarantees.md"
GUARANTEES = read(DOCUMENT.read_text("utf-8"))


def test_they_are_numbered_from_one() -> None:
    numbers = [int(each.title.partition(".")[0]) for each in GUARANTEES]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


@pytest.mark.parametrize("each", GUARANTEES, ids=lambda each: each.title.partition(".")[0])
def test_each_says_what_it_does_not_cover_and_names_tests_that_exist(each: Guarantee) -> None:
    assert "**It does not cover:**" in each.text
    assert each.tests
    assert [test for test in each.tests if not exists(test)] == []
    assert all("::" in test for test in each.tests)


def test_make_test_is_judged_by_them() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "-p tests.support.guarantees --guarantees docs/guarantees.md" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_a_guarantee_without_a_test_is_not_kept() -> None:
    assert unkept(read("## 1. It holds.\n\nBelieve me.\n"), {}) == ["1. It holds.: no test"]
    assert unkept(read("# Nothing\n"), {}) == ["the document promises nothing"]


KEPT = {
    "plain": "def test_it(): pass",
    "each": "@pytest.mark.parametrize('x', [1, 2])\ndef test_it(x): assert x",
}
BROKEN = {
    "one": "@pytest.mark.parametrize('x', [1, 0])\ndef test_it(x): x or pytest.skip()",
    "skip": "def test_it(): pytest.skip('no root')",
    "xfail": "@pytest.mark.xfail\ndef test_it(): assert False",
    "xpass": "@pytest.mark.xfail\ndef test_it(): pass",
    "other": "def test_other(): pass",
}
FAILING = {
    "false": "def test_it(): assert False",
    "end": "@pytest.fixture\ndef it():\n  yield\n  assert 0\ndef test_it(it): pass",
}


def test_a_run_is_green_if_each_test_named_has_passed(tmp_path: Path) -> None:
    done = _pytest(tmp_path, KEPT)
    assert done.returncode == 0, done.stdout
    assert "2 guarantees, each with tests that passed" in done.stdout


def test_a_run_without_a_failure_is_red_if_a_test_named_has_not_passed(tmp_path: Path) -> None:
    done = _pytest(tmp_path, KEPT | BROKEN)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    told = done.stdout.partition("guarantees without a passing test")[2]
    assert {name for name in KEPT | BROKEN if f"test_{name}.py" in told} == set(BROKEN), told


def test_a_test_that_failed_is_named_with_its_guarantee(tmp_path: Path) -> None:
    done = _pytest(tmp_path, FAILING)
    told = done.stdout.partition("guarantees without a passing test")[2]
    assert {name for name in FAILING if f"test_{name}.py" in told} == set(FAILING), done.stdout


def _pytest(folder: Path, bodies: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One guarantee for each of some tests, and a run of them that is judged as `make test` is."""
    (folder / "tests").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    promises = []
    for number, (name, body) in enumerate(bodies.items(), 1):
        (folder / "tests" / f"test_{name}.py").write_text(f"import pytest\n{body}\n")
        promises.append(f"## {number}. It holds.\n\n- `tests/test_{name}.py::test_it`\n")
    (folder / "guarantees.md").write_text("\n".join(promises))
    plugin = ("-p", "tests.support.guarantees", "--guarantees", "guarantees.md")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", *plugin, "tests"],
        capture_output=True, text=True, check=False, cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""}, timeout=60,
    )  # fmt: skip
