"""What is left of words that were read: in an index, on a terminal, or with whom a link names."""

import contextlib
import os
import pty
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]

WORD = "Kittiwake"


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel("Heron") as made:
        made.facilitator.do("say", f"The {WORD} sails on Thursday.")
        yield made


def test_attack_32_with_the_passphrase_no_table_or_index_holds_a_word_of_what_was_read(
    north: Channel,
) -> None:
    """The database, decrypted: bodies are sealed once more, and nothing was made to search them."""
    for person in north.people.values():
        assert any(WORD in text for text in person.texts())
        with person.vault() as vault:
            schema = vault._database.all("SELECT name, type, coalesce(sql, '') FROM sqlite_schema")
            rows = [
                row
                for name, kind, _ in schema
                if kind == "table"
                for row in vault._database.all(f'SELECT * FROM "{name}"')  # noqa: S608 - of the schema itself
            ]
        assert not [name for name, _, sql in schema if "VIRTUAL" in sql.upper()]
        assert len(rows) > 10
        assert not [row for row in rows if any(WORD.lower() in plain(value) for value in row)]


def plain(value: object) -> str:
    """A value of a row as it could be searched."""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).lower()


def test_attack_42_a_terminal_keeps_what_it_was_shown(north: Channel) -> None:
    """The residue: words go to the terminal as ordinary lines, and nothing takes them back."""
    shown = on_a_terminal(north.people["Heron"], "read")
    assert WORD in shown
    assert "\x1b[?1049h" not in shown  # no second screen that goes when the program ends
    assert "\x1b[2J" not in shown
    assert "\x1b[3J" not in shown


def on_a_terminal(person: Member, *arguments: str) -> str:
    """All that a command wrote to the terminal that it was started on."""
    ours, theirs = pty.openpty()
    env = person.env | {"TERM": "xterm-256color", "COLUMNS": "80"}
    subprocess.run([*person.command, *arguments], stdout=theirs, stderr=theirs, env=env, check=True)
    os.close(theirs)
    told = b""
    with contextlib.suppress(OSError):  # Linux says so when the other end is gone
        while piece := os.read(ours, 4096):
            told += piece
    os.close(ours)
    return told.decode()


def test_attack_48_a_link_is_shown_and_nobody_follows_it(north: Channel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as lure:
        lure.setblocking(False)
        link = f"http://127.0.0.1:{lure.getsockname()[1]}/preview.png"
        heron = north.people["Heron"]
        north.facilitator.do("say", f"See {link} and <img src='{link}'>")
        heron.do("sync")
        assert any(link in text for text in heron.texts())
        assert link in heron.do("read").replace("\n", "").replace(" ", "")
        with pytest.raises(BlockingIOError):
            lure.accept()
