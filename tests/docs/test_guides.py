"""docs/operators.md has the guides that the program prints, word for word."""

import re

from backchannel.server.operate.guides import GUIDES
from tests.support.cited import ROOT

HANDBOOK = (ROOT / "docs" / "operators.md").read_text("utf-8")


def test_every_guide_stands_in_the_handbook_as_it_is_printed() -> None:
    _, _, appendix = HANDBOOK.partition("## Step by step\n")
    titles = re.findall(r"^### `guide (\w+)`: (.+)$", appendix, re.MULTILINE)
    assert titles == [(topic, guide.title) for topic, guide in GUIDES.items()]
    flat = " ".join(appendix.split())
    for guide in GUIDES.values():
        steps = (f"{number}. {step}" for number, step in enumerate(guide.steps, 1))
        assert " ".join(steps) in flat


def test_every_guide_that_the_handbook_names_is_there() -> None:
    assert set(re.findall(r"guide (\w+)`", HANDBOOK)) == set(GUIDES)
