"""Where there are several channels, each command that a person is told to type names one."""

from io import StringIO

import click
import pytest

from backchannel.client import cli
from backchannel.client.aim import ALONE, GROUPS, aimed
from backchannel.client.errors import NotFound, explain
from backchannel.client.ui import Ui


@pytest.mark.parametrize(
    ("said", "aim"),
    [
        ("next: backchannel read", "next: backchannel read --channel North"),
        ("next: backchannel verify     once", "next: backchannel verify --channel North     once"),
        (
            "backchannel channel close, or: backchannel channel object",
            (
                "backchannel channel close --channel North, or: "
                "backchannel channel object --channel North"
            ),
        ),
        ("backchannel policy     shows it", "backchannel policy --channel North     shows it"),
        ("backchannel policy agree", "backchannel policy agree --channel North"),
        ("backchannel say TEXT --thread a", "backchannel say --channel North TEXT --thread a"),
        ("backchannel relay move URL", "backchannel relay move --channel North URL"),
    ],
)
def test_a_command_is_told_with_the_channel_that_was_named(said: str, aim: str) -> None:
    assert aimed(said, "North") == aim
    assert aimed(aim, "South") == aim, "it is named already"
    assert aimed(said, None) == said


@pytest.mark.parametrize(
    "said",
    [
        "backchannel join https://relay.example",
        "backchannel channel list",
        "backchannel doctor",
        "backchannel policy set --help",
        "backchannel --memory-only lock",
        "ask Heron for: backchannel release 7",
        "backchannel read --channel and its name",
        "try again; nothing was changed",
    ],
)
def test_a_command_that_means_no_channel_is_told_as_it_is(said: str) -> None:
    assert aimed(said, "North") == said


def test_a_name_of_several_words_is_one_for_the_shell() -> None:
    assert aimed("backchannel read", "Leg North") == "backchannel read --channel 'Leg North'"


def test_it_is_known_of_each_verb_whether_it_takes_a_channel() -> None:
    context = click.Context(cli.backchannel)
    for name in cli._VERBS:
        command = cli.backchannel.get_command(context, name)
        if isinstance(command, click.Group):
            alone = command.invoke_without_command
            assert set(GROUPS.get(name) or command.commands) == set(command.commands), name
            assert (name not in ALONE) == (name in GROUPS), name
            assert alone == bool(GROUPS.get(name)), name
            for below, verb in command.commands.items():
                without = name in ALONE or f"{name} {below}" in ALONE
                assert _takes(verb) != without, (name, below)
        else:
            assert command is not None
            assert _takes(command) != (name in ALONE), name


def _takes(command: click.Command) -> bool:
    return any("--channel" in each.opts for each in command.params)


def test_what_is_said_next_and_errors_name_it_and_what_others_wrote_stays() -> None:
    out, err = StringIO(), StringIO()
    ui = Ui(out=out, err=err, channel="North")
    ui.show({}, "next: backchannel lobby", "Look. See: backchannel record.")
    ui.quote("next: backchannel read")
    ui.fail(explain(NotFound("There is none.", "backchannel read")))
    ui.note("Cover is broken.", next="backchannel watch")
    assert out.getvalue().splitlines() == [
        "next: backchannel lobby --channel North",
        "Look. See: backchannel record --channel North.",
        "    next: backchannel read",
    ]
    assert "next: backchannel read --channel North" in err.getvalue()
    assert "next: backchannel watch --channel North" in err.getvalue()
