"""Bytes to begin from that are there already: the project's vectors."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.vectors import FOLDER


def recorded(file: str, *fields: str, does: str | None = None) -> Callable[[], list[bytes]]:
    """What the cases of one file of vectors give in these fields."""

    def read() -> list[bytes]:
        cases: list[dict[str, Any]] = json.loads((FOLDER / f"{file}.json").read_text())["cases"]
        given = [case["given"] for case in cases if does in (None, case["does"])]
        found = [each[field] for each in given for field in fields if field in each]
        return sorted({bytes.fromhex(each) for each in found if isinstance(each, str)})

    return read
