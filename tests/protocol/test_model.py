"""The symbolic models: what is kept of their results is of the models that stand here."""

import pytest

from tests.support import model
from tests.support.model import FOLDER, Check, checks, rows, verdict

CHECKS = checks()
MODELS = sorted({check.model for check in CHECKS})
VERSION, ROWS = rows()

HOLDS = "RESULT not attacker(payload[]) is true.\n"
FALLS = "RESULT not attacker(payload[]) is false.\n"
UNPROVED = "RESULT Observational equivalence cannot be proved.\n"


def of_model(name: str) -> list[Check]:
    return [check for check in CHECKS if check.model == name]


def test_every_model_has_its_result_and_no_result_is_of_another_model() -> None:
    wanted = [(c.model, c.swapped, str(c.queries), c.expected, c.digest) for c in CHECKS]
    assert [(r.model, r.swapped, r.queries, r.expected, r.digest) for r in ROWS] == wanted, (
        "a model changed without its results; next: make model"
    )


def test_every_verdict_is_the_expected_one() -> None:
    assert [row for row in ROWS if row.found != row.expected] == []
    assert VERSION == "2.05"


def test_every_file_is_used() -> None:
    used = {path for check in CHECKS for path in (check.main, *check.libraries)}
    assert used == {*FOLDER.glob("*.pv"), *FOLDER.glob("*/*.pvl")}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_holds_somewhere_and_has_a_negative_control(name: str) -> None:
    expected = {check.expected for check in of_model(name)}
    assert expected == {"holds", "attack"}


@pytest.mark.parametrize("name", MODELS)
def test_no_two_runs_of_a_model_are_the_same(name: str) -> None:
    digests = [check.digest for check in of_model(name)]
    assert len(set(digests)) == len(digests)


def test_a_control_says_what_is_broken_or_left_out() -> None:
    for path in (FOLDER / "broken").iterdir():
        assert path.read_text().startswith(("(* Left out: ", "(* Broken: ", "(* Put in: ")), path


def test_the_digest_is_of_every_file_that_is_read() -> None:
    check = CHECKS[0]
    assert check.digest != check._replace(libraries=check.libraries[1:]).digest
    assert check.digest != check._replace(libraries=check.libraries[::-1]).digest
    assert check.digest != check._replace(model=CHECKS[-1].model).digest


@pytest.mark.parametrize(
    ("output", "queries", "found"),
    [
        (HOLDS, 1, "holds"),
        (HOLDS + HOLDS, 2, "holds"),
        (FALLS, 1, "attack"),
        (HOLDS + FALLS, 2, "undecided"),
        (HOLDS, 2, "undecided"),
        ("", 1, "undecided"),
        ("RESULT not attacker(payload[]) cannot be proved.\n", 1, "undecided"),
        (UNPROVED, 1, "undecided"),
        ("A trace has been found.\n" + UNPROVED, 1, "attack"),
        ("RESULT Observational equivalence is true.\n", 1, "holds"),
    ],
)
def test_a_verdict_is_taken_only_where_all_queries_have_it(
    output: str, queries: int, found: str
) -> None:
    assert verdict(output, queries) == found


def test_without_proverif_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert model.main() == 1
    assert "next: install it" in capsys.readouterr().err
