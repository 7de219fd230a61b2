"""The charter file: strict, within its sizes, and honest where there is none."""

import json
from pathlib import Path

import pytest

from backchannel.client.convening import charter, vouchers, wanted
from backchannel.client.errors import UsageMistake
from backchannel.client.ui import Ui

GOOD = {
    "charter": "We speak for ourselves.",
    "convened_by": "The Harbour Trust",
    "funded_by": "Two foundations",
    "relay_run_by": "The university",
}


def write(folder: Path, **fields: object) -> Path:
    path = folder / "charter.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_a_whole_file_is_taken(tmp_path: Path) -> None:
    found = charter.read(write(tmp_path, **GOOD))
    assert found.text == GOOD["charter"]
    assert found.disclosure.funded_by == GOOD["funded_by"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "blue"}, "not known: colour"),
        ({"charter": 7}, "charter is no text"),
        ({"funded_by": "  "}, "funded_by is no text"),
        ({"funded_by": "x" * 501}, "500 characters"),
        ({"charter": "x" * 20_001}, "20,000 bytes"),
        ({"convened_by": "a\u202eb"}, "no screen should obey"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(UsageMistake, match=said) as caught:
        charter.read(write(tmp_path, **{**GOOD, **change}))
    assert "Nothing was done." in caught.value.message
    assert caught.value.next_step.startswith("correct ")


def test_a_missing_line_is_named(tmp_path: Path) -> None:
    fields = {name: value for name, value in GOOD.items() if name != "funded_by"}
    with pytest.raises(UsageMistake, match="does not say: funded_by"):
        charter.read(write(tmp_path, **fields))


def test_what_is_no_toml_or_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "charter.toml"
    with pytest.raises(UsageMistake, match="cannot be read"):
        charter.read(path)
    path.write_text("charter = ", "utf-8")
    with pytest.raises(UsageMistake, match="is not TOML"):
        charter.read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageMistake, match="is not TOML"):
        charter.read(path)


def test_the_usual_one_claims_nothing_that_is_not_known() -> None:
    text, disclosure = charter.usual("Fox", "relay.example")
    for said in ("unofficial", "personal capacity", "nobody speaks for a government", "attributed"):
        assert said in text
    assert disclosure.convened_by == "the facilitator (Fox)"
    assert disclosure.funded_by == "not declared"
    assert "relay.example" in disclosure.relay_run_by


@pytest.mark.parametrize("beyond", ["charter = " + "[" * 2000, "charter = " + "9" * 5000])
def test_attack_54_a_file_that_toml_has_no_words_for_is_a_mistake(
    tmp_path: Path, beyond: str
) -> None:
    path = tmp_path / "charter.toml"
    path.write_text(beyond)
    for read in (charter.read, wanted.read):
        with pytest.raises(UsageMistake, match="is not TOML"):
            read(path)


def test_attack_54_a_name_that_no_file_can_have_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "north.toml"
    path.write_text('name = "North"\ncharter_file = "\\u0000"')
    with pytest.raises(UsageMistake):
        wanted.read(path)
    with pytest.raises(UsageMistake, match="cannot be read"):
        vouchers.read(tmp_path / "\0", Ui())
