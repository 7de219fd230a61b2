"""Test vectors: JSON files of known answers, and what a case, an answer and a refusal look like.

A file is `{"section", "about", "cases": [{"name", "does", "given", "expect", "gives"}]}`. Bytes are
hex. `expect` is "ok" or why the case is refused, a reason of the second reader. A structure stands
as an array of its fields in the order of SPEC.md.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from backchannel.protocol import errors
from tests.support.second_reader.refused import Refused

FOLDER = Path(__file__).parents[1] / "vectors"
SUMS = FOLDER / "SHA256SUMS"

Case = dict[str, Any]
Given = dict[str, Any]
Operation = Callable[["Input"], Any]

MEANS: dict[str, tuple[type[errors.BackchannelError], ...]] = {
    "size": (errors.DecodeError, errors.AuthenticationError),
    "encoding": (errors.DecodeError,),
    "commitment": (errors.AuthenticationError,),
    "ciphertext": (errors.AuthenticationError,),
    "mac": (errors.AuthenticationError,),
    "stale": (errors.StaleError, errors.ReplayError, errors.GapTooLargeError),
    "rules": (
        errors.DecodeError,
        errors.RefusedError,
        errors.ReplayError,
        errors.AuthenticationError,
        errors.StateError,
    ),
}
"""Which errors of ours a reason of the second reader may be."""


class Input:
    """What a case gives, field by field."""

    def __init__(self, given: Given) -> None:
        self.given = given

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def hex(self, name: str) -> bytes:
        return bytes.fromhex(self.given[name])

    def many(self, name: str) -> list[bytes]:
        return [bytes.fromhex(each) for each in self.given[name]]

    def inner(self, name: str) -> "Input":
        return Input(self.given[name])


def rows(value: Any) -> Any:
    """A decoded structure as an array of its fields, in the order of SPEC.md."""
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=(bytes,))
    if isinstance(value, dict):
        return [rows(each) for each in value.values()]
    if isinstance(value, list):
        return [rows(each) for each in value]
    return value


def plain(value: Any) -> Any:
    """As JSON holds it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def answer(operation: Operation, given: Given) -> Any:
    """What an implementation gives, as JSON holds it, or the error that it refuses with."""
    try:
        return plain(operation(Input(given)))
    except (errors.BackchannelError, Refused) as refusal:
        return refusal


def agrees(expect: str, found: Any) -> bool:
    """Whether an answer is what `expect` says; for "ok" any that is no refusal."""
    if isinstance(found, Refused):
        return found.reason == expect
    if isinstance(found, errors.BackchannelError):
        return isinstance(found, MEANS.get(expect, ()))
    return expect == "ok"


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def cases(path: Path) -> list[Case]:
    found: list[Case] = json.loads(path.read_text("utf-8"))["cases"]
    return found


def digests() -> dict[str, str]:
    """What `SHA256SUMS` says of each file."""
    lines = SUMS.read_text("ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
