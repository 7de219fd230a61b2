"""docs/attacks.md: every class of attack has its row, every row a test, and every test its row."""

import re

from tests.support.cited import ROOT, all_tests, cited, exists

ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs" / "attacks.md").read_text("utf-8").splitlines()
    if re.match(r"\| \d", line)
]
CLASSES = 74
"""Those that were known before anything was built; what was met since comes after them."""
_NUMBERS = re.compile(r"test_attack((?:_(?:and_)?\d+)+)(?:_|$)")


def numbers_of(test: str) -> set[int]:
    """The classes that a test's name says it is about."""
    found = _NUMBERS.match(test.rpartition("::")[2])
    return {int(each) for each in re.findall(r"\d+", found[1])} if found else set()


def test_a_name_says_which_attacks_it_tries() -> None:
    assert numbers_of("tests/x.py::test_attack_38_39_40_nothing_is_left") == {38, 39, 40}
    assert numbers_of("tests/x.py::test_attack_44_and_40_a_name") == {44, 40}
    assert numbers_of("tests/x.py::test_attack_05_unknown_key_share") == {5}
    assert numbers_of("tests/x.py::test_attack_16_a_jump_over_512_keys") == {16}
    assert numbers_of("tests/x.py::test_attack_the_floor_is_not_taken") == set()


def test_each_row_has_a_number_of_its_own_and_none_is_left_out() -> None:
    numbers = [int(row[0]) for row in ROWS]
    assert numbers == list(range(1, len(ROWS) + 1))
    assert len(numbers) >= CLASSES


def test_each_row_says_what_is_tried_what_it_meets_and_a_test_that_exists() -> None:
    for number, attack, answer, tests in ROWS:
        assert attack, number
        assert answer, number
        assert any("::" in each for each in cited(tests)), number  # a proof stands beside a test
        assert [each for each in cited(tests) if not exists(each)] == [], number


def test_everything_in_the_last_column_is_read_as_a_test() -> None:
    for number, *_, tests in ROWS:
        assert tests == "<br>".join(f"`{each}`" for each in cited(tests)), number


def test_each_test_that_is_named_for_an_attack_has_its_row() -> None:
    known = {int(row[0]) for row in ROWS}
    unknown = {test: numbers_of(test) - known for test in all_tests()}
    assert {test: numbers for test, numbers in unknown.items() if numbers} == {}
