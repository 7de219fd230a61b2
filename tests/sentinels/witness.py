"""Runs the named tests, and says in one line of JSON what became of each and which code it was.

Started by `run` inside a copy of the tree.
"""

import json
import sys

import pytest


class Witness:
    """A plugin: keeps the outcome of each test's own part."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that could not even be set up has shown nothing."""
        if report.when == "call":
            self.outcomes[report.nodeid] = report.outcome


def main(tests: list[str]) -> None:
    """One process, no cache, no help from the outside."""
    witness = Witness()
    pytest.main(["-q", "-ppytest_asyncio.plugin", "-pno:cacheprovider", *tests], [witness])
    ours = {name: each for name, each in sys.modules.items() if name.startswith("backchannel.")}
    files = sorted(each.__file__ for each in ours.values() if each.__file__)
    print()
    print(json.dumps({"outcomes": witness.outcomes, "files": files}))


if __name__ == "__main__":
    main(sys.argv[1:])
