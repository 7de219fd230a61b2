"""A pytest plugin: the run fails if a guarantee of docs/guarantees.md has a test that did not pass.

`make test` loads it, so the very run that tests everything is the one that is judged. A test that
was skipped, or is expected to fail, or did not run stands behind nothing.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.cited import cited

_HEADING = re.compile(r"^## (\d+\. .+)$", re.MULTILINE)


class Guarantee(NamedTuple):
    """One promise, and what stands behind it."""

    title: str
    text: str
    tests: tuple[str, ...]


def read(document: str) -> list[Guarantee]:
    """The guarantees of a document: its numbered headings and what is under each."""
    _, *parts = _HEADING.split(document)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [Guarantee(title, text, tuple(cited(text))) for title, text in pairs]


def unkept(guarantees: list[Guarantee], outcomes: Mapping[str, set[str]]) -> list[str]:
    """A sentence for each test that a guarantee names and that did not pass.

    `outcomes` has for each node id, without parameters, all that became of it.
    """
    wrong = [f"{each.title}: no test" for each in guarantees if not each.tests]
    for each in guarantees:
        for test in each.tests:
            became = outcomes.get(test, {"not run"}) - {"passed"}
            wrong.extend(f"{each.title}: {test}: {outcome}" for outcome in sorted(became))
    return wrong if guarantees else ["the document promises nothing"]


class Judge:
    """Watches a run, and ends it badly if a guarantee is without its tests."""

    def __init__(self, document: Path) -> None:
        self._guarantees = read(document.read_text("utf-8"))
        self._outcomes: dict[str, set[str]] = {}
        self._wrong: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and end of one test, from whichever process ran it."""
        outcome: str = "expected to fail" if hasattr(report, "wasxfail") else report.outcome
        self._outcomes.setdefault(report.nodeid.partition("[")[0], set()).add(outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """The verdict."""
        self._wrong = unkept(self._guarantees, self._outcomes)
        if self._wrong and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What is promised without a test that passed."""
        if self._wrong:
            terminalreporter.section("guarantees without a passing test", red=True)
        for line in self._wrong:
            terminalreporter.line(line)
        kept = len({each.title for each in self._guarantees})
        if not self._wrong:
            terminalreporter.line(f"{kept} guarantees, each with tests that passed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--guarantees FILE`."""
    parser.addoption("--guarantees", type=Path, help="fail unless each guarantee's tests passed")


def pytest_configure(config: pytest.Config) -> None:
    """One judge, in the process that hears of all tests."""
    document = config.getoption("--guarantees")
    if document is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Judge(document))
