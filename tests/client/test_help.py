"""What `--help` says of each verb: an example that is accepted as it stands; whole sentences."""

import shlex
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

import click
import pytest

from backchannel.client.cli import backchannel

_SHELL = {"|", "||", "&&", ">", "<"}
"""Where a command of ours ends, in a line that goes on."""


class Helped(NamedTuple):
    """A verb, and what its `--help` prints."""

    path: tuple[str, ...]
    command: click.Command
    context: click.Context

    @property
    def lines(self) -> list[str]:
        return self.command.get_help(self.context).splitlines()

    @property
    def examples(self) -> list[list[str]]:
        """The command lines that it shows, as a shell would split them."""
        lines = self.lines
        heads = [at for at, line in enumerate(lines) if line.strip() in {"Example:", "Examples:"}]
        found = ["\n".join(takewhile(str.strip, lines[at + 1 :])) for at in heads]
        return [_ours(line) for each in found for line in each.replace("\\\n", "").splitlines()]


def _ours(line: str) -> list[str]:
    words = shlex.split(line)
    end = next((at for at, word in enumerate(words) if word in _SHELL), len(words))
    return words[:end]


def _walk(
    command: click.Command, *path: str, above: click.Context | None = None
) -> Iterator[Helped]:
    context = click.Context(
        command, info_name=path[-1], parent=above, terminal_width=78, **command.context_settings
    )  # of a screen's 80 columns click leaves two free
    yield Helped(path, command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _walk(below, *path, name, above=context)


_ALL = list(_walk(backchannel, "backchannel"))
_DOES = [
    each
    for each in _ALL
    if not isinstance(each.command, click.Group) or each.command.invoke_without_command
]
"""What can be typed as it stands."""
_GROUPS = [each for each in _ALL if isinstance(each.command, click.Group)]


def _name(each: Helped) -> str:
    return " ".join(each.path)


def _parse(words: list[str]) -> tuple[str, ...]:
    """The verb that a command line calls, after its options and arguments were accepted."""
    command: click.Command = backchannel
    path: tuple[str, ...] = (words[0],)
    rest, above = words[1:], None
    while True:
        context = command.make_context(path[-1], rest, parent=above)
        rest = [*context._protected_args, *context.args]
        if not isinstance(command, click.Group) or not rest:
            return path
        name, below, rest = command.resolve_command(context, rest)
        assert name is not None
        assert below is not None
        command, path, above = below, (*path, name), context


@pytest.mark.parametrize("each", _DOES, ids=_name)
def test_the_help_of_each_verb_has_an_example_of_it(each: Helped) -> None:
    assert any(_parse(words)[: len(each.path)] == each.path for words in each.examples)


@pytest.mark.parametrize("each", _ALL, ids=_name)
def test_each_example_is_a_command_line_that_is_accepted(each: Helped) -> None:
    for words in each.examples:
        assert words[0] == "backchannel"
        _parse(words)


@pytest.mark.parametrize("each", _GROUPS, ids=_name)
def test_no_sentence_in_a_list_of_verbs_is_cut_off(each: Helped) -> None:
    listed = [line for line in each.lines if line.startswith("  ")]
    assert not [line for line in listed if line.endswith("...")]


@pytest.mark.parametrize("each", _ALL, ids=_name)
def test_no_help_is_wider_than_a_screen(each: Helped) -> None:
    assert max(map(len, each.lines)) <= 80
