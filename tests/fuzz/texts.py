"""Targets: what people type, and the text files that they write or are sent."""

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from backchannel.client import settings
from backchannel.client.convening import charter, vouchers, wanted
from backchannel.client.errors import ClientError, UsageMistake, WordsMistyped
from backchannel.client.filter import clean
from backchannel.client.keeping import script
from backchannel.client.rounds.joining import check_words
from backchannel.client.ui import Ui
from backchannel.client.wire.address import Address
from backchannel.protocol.alias import alike, check_alias
from backchannel.protocol.drop import show_voucher
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.filename import check_file_name
from backchannel.protocol.types import Hour
from backchannel.protocol.words import invite_words
from backchannel.server.errors import OperatorError
from backchannel.server.settings import load, template
from tests.fuzz.target import as_text, decoder, texts

_CHARTER = """\
charter = "We speak for ourselves."
convened_by = "a friend"
funded_by = "nobody"
relay_run_by = "a friend"
"""
_WANTED = """\
name = "North"
kind = "workshop"
alias = "Fox"
party = "Bridge"
relay = "https://relay.example"
vouchers = "vouchers.txt"
charter = "We speak for ourselves."
[disclosure]
convened_by = "a friend"
funded_by = "nobody"
relay_run_by = "a friend"
[policy]
expires = "7d"
unattributed = 4
vouches = 1
[[threads]]
topic = "borders"
expires = "24h"
[[invites]]
alias = "Owl"
role = "observer"
valid = "3d"
[roles]
"Owl" = "participant"
"""
_SETTINGS = """\
passphrase-file = "x"
proxy = "socks5h://127.0.0.1:9050"
unlock-for = "15m"
allow-http = true
"""


_BEYOND_USE = (
    "name = " + "[" * 2000,
    "name = " + "{a=" * 1300,
    "name = " + "9" * 4400,
    'name = "North"\ncharter_file = "\\u0000"\nvouchers = "\\u0000"',
)
"""What TOML's reader has no answer to but a crash of its own."""


_SCRIPT = """\
# who said what
[2026-11-20 08] Heron: We could stop on Friday.
Fox: Then say so.
  And to whom?
[2026-11-20 09:00 UTC] Heron: To all.
"""


@cache
def _folder() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - a file for each attempt, and millions of them
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def in_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """The same for bytes, by way of a file of one's own."""

    def attempt(data: bytes) -> object:
        path = _folder() / "file.toml"
        path.touch(0o600)
        path.write_bytes(data)
        return read(path)

    return attempt


def _shown(data: bytes) -> None:
    """What a screen is given is clean, and stays what it is."""
    once = clean(as_text(data))
    assert clean(once) == once
    assert "\x1b" not in once


def _script(data: bytes) -> None:
    now = Hour(500_000)
    for line in script.parse(as_text(data), {"Heron", "Fox"}.__contains__, None, now):
        assert line.alias in {"Heron", "Fox"}
        assert line.hour <= now


def _alike(data: bytes) -> None:
    one, _, other = as_text(data).partition("\n")
    assert alike(one, other) == alike(other, one)


TARGETS = [
    decoder(
        "invite words",
        lambda data: check_words(as_text(data)),
        texts(" ".join(invite_words(bytes(range(16))))),
        WordsMistyped,
        longest=400,
    ),
    decoder(
        "alias",
        lambda data: check_alias(as_text(data)),
        texts("Ürsula K.", "山田 太郎"),
        DecodeError,
        write=str.encode,
        longest=300,
    ),
    decoder("alike", _alike, texts("Ana\nAnа"), longest=300),
    decoder(
        "file name",
        lambda data: check_file_name(as_text(data)),
        texts("a plan.pdf", "con"),
        DecodeError,
        write=str.encode,
        longest=600,
    ),
    decoder(
        "address",
        lambda data: str(Address.parse(as_text(data), allow_http=True)),
        texts("https://relay.example:8443", "http://[::1]:80"),
        UsageMistake,
        longest=400,
    ),
    decoder("screen", _shown, texts("hello\x1b[2J\n\u202eabc")),
    decoder("script", _script, texts(_SCRIPT), UsageMistake),
    decoder("charter file", in_file(charter.read), texts(_CHARTER, *_BEYOND_USE), UsageMistake),
    decoder("channel file", in_file(wanted.read), texts(_WANTED, *_BEYOND_USE), UsageMistake),
    decoder("settings file", in_file(settings._read), texts(_SETTINGS, *_BEYOND_USE), ClientError),
    decoder(
        "vouchers file",
        in_file(partial(vouchers.read, ui=Ui())),
        texts(show_voucher(bytes(16))),
        UsageMistake,
    ),
    decoder(
        "relay file",
        in_file(load),
        texts(template(), template().replace("\n# ", "\n"), *_BEYOND_USE),
        OperatorError,
    ),
]
