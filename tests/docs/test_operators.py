"""docs/operators.md: each command, key, check, figure and file that it names is there, and it names
all that there are. Rows U13, U14, OP16, OP19.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from backchannel.server import exposition
from backchannel.server.cli import commands
from backchannel.server.commands.keeping import _Backup
from backchannel.server.exposition import Machine
from backchannel.server.home import Home
from backchannel.server.metrics import Sums
from backchannel.server.operate import doctor
from backchannel.server.operate.holdings import holdings
from backchannel.server.operate.setup import make
from backchannel.server.settings import Settings
from tests.support.cited import ROOT

HANDBOOK = ROOT / "docs" / "operators.md"
TEXT = HANDBOOK.read_text("utf-8")
PROGRAM = "backchannel-relay"
DEPLOY = ROOT / "server" / "deploy"


def section(title: str) -> str:
    """The text below a heading."""
    _, found, rest = TEXT.partition(f"\n## {title}\n")
    assert found, title
    return rest.partition("\n## ")[0]


def cells(text: str, column: int) -> list[str]:
    """Of the tables in a text, without their headings."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [row[column].strip() for row in rows]


def names(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def table(title: str, heading: str) -> str:
    """The one table below a heading whose first cell is this."""
    _, found, rest = section(title).partition(f"\n| {heading}")
    assert found, heading
    return "\n".join(rest.partition("\n\n")[0].splitlines()[2:])


def invocations() -> Iterator[list[str]]:
    """Each command line of the program, in a block or between backticks."""
    blocks = re.findall(r"^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    spans = names(re.sub(r"^```\n.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL))
    for each in (*lines, *spans):
        for command in re.split(r" \| |; | && | -- ", each):
            words = shlex.split(command, comments=True)
            if words and re.fullmatch(rf"(/[\w/]+/)?{PROGRAM}", words[0]):
                yield words[1:]


def tree(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All commands, by their words."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from tree(found, (*path, name))


def parse(words: list[str]) -> None:
    """As the program would, without doing anything; `UsageError` for what it does not know."""
    command: click.Command = commands
    context = click.Context(command, info_name=PROGRAM)
    while isinstance(command, click.Group) and words and not words[0].startswith("--"):
        if isinstance(command, _Backup) and words[0] not in command.commands:
            words = ["make", *words]
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, parent=context)
    known = {name for each in command.get_params(context) for name in each.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words


@pytest.mark.parametrize("words", list(invocations()), ids=" ".join)
def test_each_command_line_in_it_is_one_that_the_program_knows(words: list[str]) -> None:
    parse(words)


def test_there_are_command_lines_in_it() -> None:
    assert len(list(invocations())) > 30


def test_each_command_of_the_program_has_its_line() -> None:
    told = " ".join(names("\n".join(cells(section("Day by day"), 0))))
    missing = [path for path in tree(commands) if " ".join(path) not in told]
    assert [path for path in missing if path != ("backup", "make")] == []


def test_the_table_has_each_key_of_the_configuration_and_no_other() -> None:
    keys = names("\n".join(cells(table("What you may choose", "key "), 0)))
    assert sorted(keys) == sorted(Settings.model_fields)


def test_the_table_has_each_check_of_doctor_and_no_other() -> None:
    told = ", ".join(cells(table("Day by day", "check "), 0)).split(", ")
    assert sorted(told) == sorted([*doctor._CHECKS, "reachable", "with `--url`"])


def test_the_table_has_each_figure_of_the_page_and_no_other() -> None:
    page = exposition.page(Sums(), lambda: Machine(0, 0, 0)).decode("ascii")
    exported = set(re.findall(r"^backchannel_relay_(\w+)", page, re.MULTILINE))
    told = names("\n".join(cells(table("Being told", "figure"), 0)))
    assert {each.partition("{")[0] for each in told} == exported
    assert "`requests_total{operation,outcome}`" in TEXT


def test_the_table_has_each_alert_and_no_other() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts" / "backchannel-relay.rules.yml").read_text("utf-8"))
    alerts = [rule["alert"] for rule in rules["groups"][0]["rules"]]
    told = cells(table("Being told", "alert "), 0)
    assert [f"BackchannelRelay{each}" for each in told] == alerts


def test_each_file_of_the_folder_that_outlives_the_relay_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "relay")
    make(home)
    files = {each.where for each in holdings(home)}
    kept = {each for each in files if re.fullmatch(r"\w+\.(toml|key|keys|db)", each)}
    told = names("\n".join(cells(section("What stands in the folder"), 0)))
    assert kept
    assert kept <= set(told)


def test_each_file_that_it_points_to_is_there() -> None:
    pointed = set(re.findall(r"server/deploy/[\w./@-]*[\w/]", TEXT))
    beside = [each for each in names(table("Reaching it", "way ")) if "/" in each]
    pointed |= {f"server/deploy/{each}" for each in beside}
    assert pointed
    assert [each for each in pointed if not (ROOT / each).exists()] == []


def test_each_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (HANDBOOK.parent / target).exists(), target


def test_u13_ports_and_names_are_in_one_list_with_the_defaults() -> None:
    told = table("Reaching it", "what ")
    assert f"TCP {Settings.model_fields['port'].default} (`port`)" in told
    assert "`metrics_port`" in told
    assert all(word in told for word in ("443", "80", "123", "AAAA"))


def test_u14_the_changelog_has_operators_right_after_security() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    for version in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        order = ["Security", "Operators", "Facilitators and participants", "Protocol"]
        assert kinds == [each for each in order if each in kinds], version.splitlines()[0]
        assert "Operators" in kinds
