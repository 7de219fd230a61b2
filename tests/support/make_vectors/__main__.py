"""Writes tests/vectors: `python -m tests.support.make_vectors [--force]`.

ML-KEM draws its own randomness, so every run gives other bytes: what is there is not overwritten
without --force, and a test compares the files with SHA256SUMS.
"""

import json
import sys
from collections.abc import Callable

from tests.support import vectors
from tests.support.make_vectors.cases import (
    Cases,
)
from tests.support.make_vectors.keys import block, drop, epoch, identity, primitives, words
from tests.support.make_vectors.lines import line, the_intro
from tests.support.make_vectors.members import lobby, roster
from tests.support.make_vectors.posts import contents, sender_keys
from tests.support.make_vectors.storage import relay, store

FILES: dict[str, tuple[str, str, Callable[[], Cases]]] = {
    "primitives": ("2", "Hashes, keys, agreements, ciphers, padding", primitives),
    "epoch": ("5", "What an epoch derives, hour by hour", epoch),
    "drop": ("6", "Keys of a channel's drop", drop),
    "block": ("7", "Blocks opened at the hours of a window; content hashes", block),
    "identity": ("8 and 17", "Bundles and names", identity),
    "roster": ("9", "Rosters, packages, pieces, successors", roster),
    "words": ("10 and 11", "Invite words, roster words, check words", words),
    "lobby": ("11", "What an invite opens; cards, markers, joins", lobby),
    "intro": ("12", "Intros as B opens them, with admission and without", the_intro),
    "line": ("13", "Conversations, event by event, as one side lives them", line),
    "sender_key": ("14", "Generations, key blocks, posts", sender_keys),
    "content": ("13 and 15", "What posts and line blocks say; parts", contents),
    "relay": ("18", "Requests, answers, pages, vouchers", relay),
    "expiry": ("19", "Places, headers, items", store),
}


def write(name: str) -> str:
    """Make one file; its line of SHA256SUMS."""
    section, about, make = FILES[name]
    whole = {"section": section, "about": about, "cases": list(make())}
    path = vectors.FOLDER / f"{name}.json"
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return f"{vectors.digest(path)}  {path.name}\n"


def main(arguments: list[str]) -> str:
    """Write all files; why not, if not."""
    if vectors.files() and arguments != ["--force"]:
        return (
            "There are vectors already, and other programs may be tested with them.\n"
            "next: if the protocol changed: python -m tests.support.make_vectors --force"
        )
    vectors.FOLDER.mkdir(exist_ok=True)
    vectors.SUMS.write_text("".join(write(name) for name in sorted(FILES)), "ascii")
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
