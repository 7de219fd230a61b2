"""Writes tests/vectors: `python -m tests.support.make_vectors [--force [FILE ...]]`.

ML-KEM draws its own randomness, so every run gives other bytes: what is there is not overwritten
without --force (all, or the files that are named, as "line"), and a test compares the files with
SHA256SUMS.
"""

import json
import sys
from collections.abc import Callable

from tests.support import vectors
from tests.support.make_vectors.cases import Cases
from tests.support.make_vectors.epoch_cores import epoch_cores
from tests.support.make_vectors.exhibits import exhibits
from tests.support.make_vectors.keys import block, drop, epoch, identity, primitives, words
from tests.support.make_vectors.lines import line, the_intro
from tests.support.make_vectors.members import lobby, roster
from tests.support.make_vectors.posts import contents, sender_keys
from tests.support.make_vectors.storage import relay, store
from tests.support.make_vectors.whispers import whispers

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
    "epoch_core": ("5", "Cores that begin an epoch", epoch_cores),
    "content": ("15", "What posts say; parts; what nobody in particular says; files", contents),
    "transcript_file": ("3 and 22", "Leaf keys; files of what was said", exhibits),
    "whisper": ("13 and 15", "What line blocks say; private notes", whispers),
    "relay": ("18", "Requests, answers, pages, vouchers", relay),
    "expiry": ("19", "Places, headers, items", store),
}


def write(name: str) -> None:
    """Make one file."""
    section, about, make = FILES[name]
    whole = {"section": section, "about": about, "cases": list(make())}
    path = vectors.FOLDER / f"{name}.json"
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main(arguments: list[str]) -> str:
    """Write all files, or those named; why not, if not."""
    force, names = arguments[:1] == ["--force"], arguments[1:]
    if vectors.files() and not force:
        return (
            "There are vectors already, and other programs may be tested with them.\n"
            "next: if the protocol changed: python -m tests.support.make_vectors --force"
        )
    if unknown := set(names) - set(FILES):
        return f"There is no file {min(unknown)}.\nnext: name some of {', '.join(FILES)}"
    vectors.FOLDER.mkdir(exist_ok=True)
    for name in names or FILES:
        write(name)
    sums = "".join(f"{vectors.digest(path)}  {path.name}\n" for path in vectors.files())
    vectors.SUMS.write_text(sums, "ascii")
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
