"""protocol/THREATS.md: beside each line the test or proof that shows it, and each one exists."""

import re

from tests.support.cited import ROOT, cited, exists

TEXT = (ROOT / "protocol" / "THREATS.md").read_text("utf-8")
ADVERSARIES = [
    "The network",
    "A proxy",
    "The relay's operator, or who seizes the relay while it runs",
    "A court with the relay's backups",
    "Who has an invite's words",
    "A member",
    "A former member",
    "A facilitator",
    "A facilitator who is coerced",
    "The thief of a locked device",
    "The thief of an unlocked device",
    "A member who is coerced",
    "A quantum adversary, later",
]
NOTHING = "nothing to test"
"""Of a line about people or machines outside the program."""


def lines_of(adversary: str) -> dict[str, list[list[str]]]:
    """What an adversary `cannot` and `can`: lines, each with what shows it."""
    section = TEXT.partition(f"\n## {adversary}\n")[2].partition("\n## ")[0]
    tables: dict[str, list[list[str]]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[1] == "shown by":
            tables[cells[0]] = []
        elif line.startswith("| "):
            list(tables.values())[-1].append(cells)
    return tables


def test_each_adversary_has_what_it_cannot_and_what_it_can() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE)[: len(ADVERSARIES)] == ADVERSARIES
    for each in ADVERSARIES:
        tables = lines_of(each)
        assert list(tables) == ["cannot", "can"], each
        assert all(tables.values()), each


def test_each_line_has_what_shows_it() -> None:
    for each in ADVERSARIES:
        for kind, lines in lines_of(each).items():
            for claim, shown in lines:
                ids = cited(shown)
                assert ids or (kind == "can" and shown == NOTHING), claim
                assert not ids or shown == "<br>".join(f"`{id_}`" for id_ in ids), claim


def test_every_test_and_proof_that_is_named_exists() -> None:
    assert [each for each in cited(TEXT) if not exists(each)] == []
