"""Owns SPEC 15, "Hotline": what is said there, and what of it contradicts itself."""

import unicodedata
from typing import Any

from tests.support.second_reader import shapes
from tests.support.second_reader.refused import need
from tests.support.second_reader.roster import SLOT

FLAG = shapes.uint(0, 1)
HOUR = shapes.uint()
MINUTES = shapes.uint(1, 4320)
NAMED = shapes.record(slot=SLOT, id=shapes.binary(16))
LINE = shapes.text(most_characters=500, least=1)

SHAPES = {
    "test": shapes.record(number=shapes.uint(0, 15)),
    "heard": shapes.record(test=NAMED),
    "duty": shapes.record(
        tests=shapes.uint(0, 168),
        watches=shapes.array(shapes.record(slot=SLOT, hours=shapes.binary(21)), 0, 64),
        ladder=shapes.array(SLOT, 0, 16),
        retold=FLAG,
    ),
    "incident": shapes.record(
        of=shapes.array(NAMED, 0, 1),
        opened=HOUR,
        reached=shapes.uint(0, 2),
        severity=shapes.uint(0, 2),
        place=shapes.text(most_characters=40),
        when=HOUR,
        ack=MINUTES,
        respond=MINUTES,
        hold=FLAG,
        text=LINE,
    ),
    "attend": shapes.record(
        of=NAMED,
        act=shapes.one_of("ack", "close", "merge"),
        into=shapes.array(NAMED, 0, 1),
        text=shapes.text(most_characters=500),
    ),
    "convene": shapes.record(when=HOUR, where=LINE, about=LINE),
    "coming": shapes.record(of=NAMED, yes=FLAG),
}


def check(content: dict[str, Any], size: int, most: int) -> None:
    """Refuses what has more than `most` bytes, or words of more than a line; and the rest."""
    tag = content["tag"]
    if tag not in SHAPES:
        return
    need(size <= most, "rules", "more than one part")
    words = [content[field] for field in ("place", "text", "where", "about") if field in content]
    controls = [c for text in words for c in text if unicodedata.category(c) == "Cc"]
    need(not controls, "rules", "a control character on a hotline")
    if tag == "duty":
        slots = [watch["slot"] for watch in content["watches"]]
        need(slots == sorted(set(slots)), "rules", "watches rise")
        need(len(set(content["ladder"])) == len(content["ladder"]), "rules", "a rung twice")
    if tag == "incident" and not content["of"]:
        need(content["opened"] == content["reached"] == 0, "rules", "it begins")
    if tag == "attend":
        need(len(content["into"]) == (content["act"] == "merge"), "rules", "what is merged")
        need(content["into"] != [content["of"]], "rules", "merged with itself")
