"""Limits and sizes against SPEC.md: its table of limits, and its byte drawings recomputed."""

from typing import Final

import pytest

from backchannel.protocol import core, drop, expiry, limits, unattributed, whisper
from tests.support import spec

DRAWINGS = spec.drawings()
TABLE = spec.limits_table()
KINDS: Final = (
    "card",
    "chunk",
    "group",
    "intro",
    "join",
    "key",
    "line",
    "roster",
    "unattributed",
)
NAMED: Final = {
    "block / core": [limits.BLOCK, limits.CORE],
    "entries": [limits.ENTRIES],
    "parents": [limits.PARENTS],
    "posts of a generation": [limits.POSTS],
    "generations kept of a sender": [limits.GENERATIONS],
    "skipped keys of a line": [limits.SKIPPED],
    "exports kept of a line, per direction": [limits.EXPORTS],
    "voice in closings after it was lost / answers kept of one member": [
        limits.VOICE_HOURS,
        limits.ANSWERS_OF_ONE,
    ],
    "pending cores": [limits.PENDING, limits.PENDING_OF_ONE],
    "lifetime": [1, limits.LIFETIME],
    "roster / card pieces": [limits.ROSTER_PIECES, limits.CARD_PIECES],
    "charter": [limits.CHARTER_BYTES],
    "topic": [limits.TOPIC],
    "threads": [limits.THREADS],
    "threads of one member": [limits.THREADS_OF_ONE],
    "uses of an export": [limits.USES, limits.USES_SKIPPED],
    "cores for one asker": [limits.SERVED],
    "unproved names in an ask": [limits.UNPROVED, limits.WANTED],
    "asks": [limits.ASKS],
    "relays that one reads": [limits.RELAYS_READ],
    "cores that a relay lacks / brought at one time": [limits.LACKING, limits.LEVELLED],
    "quote": [limits.QUOTE],
    "file": [
        limits.FILE_BYTES // 2**20,
        limits.FILE_INDEX,
        limits.FILE_NAME,
        limits.FILE_NAME_BYTES,
    ],
    "files of one member on their way": [limits.FILES_OF_ONE],
    "pieces of a private note / bytes": [limits.NOTE_PARTS, whisper.MOST],
    "rows of a digest / refused cores in it": [limits.DIGEST_ROWS, limits.DIGEST_REFUSED],
    "people for unattributed posts": [limits.UNATTRIBUTED_FEWEST, limits.COVER_HOURS],
    "text of an unattributed post": [unattributed.MOST],
    "vouches / candidates of one facilitator": [limits.VOUCHES, limits.CANDIDATES],
    "refused posts kept, of one claimed sender": [limits.REFUSED, limits.REFUSED_OF_ONE],
    "unknown rosters watched, of one member": [limits.FOREIGN],
    "patience of a rival / of other alarms": [limits.RIVAL_STANDS, limits.PATIENCE],
    "alone behind a roster, until one is gone": [limits.ALONE_HOURS, 1, limits.ALONE_PART],
    "versions in one step, of a longer branch": [limits.VERSIONS_AHEAD],
    "heads of an epoch / merged rosters": [limits.HEADS, limits.MERGED],
    "words on a hotline / code of a place": [limits.URGENT, limits.PLACE],
    "deadlines of an incident": [1, limits.MINUTES],
    "incidents / calls to convene of one member": [
        limits.INCIDENTS_OF_ONE,
        limits.CONVENES_OF_ONE,
    ],
    "ladder / canned texts": [limits.LADDER, limits.CANNED],
    "cover": [1, limits.COVER],
    "tests of one member": [limits.TESTS_OF_ONE],
    "transcript file": [limits.EXHIBIT_BYTES // 2**20, limits.EXHIBIT_STATEMENTS],
    "waiting period of a closing / more for its issuer": [
        limits.CLOSING_HOURS,
        limits.CLOSING_LATE,
    ],
    "heartbeats": [1, limits.PULSE],
    "epoch": [limits.EPOCH_HOURS, limits.SEAL_HOURS, limits.YIELD_HOURS],
}
COMPUTED: Final = {"group part / content", "line content", "intro payload"}


def room(name: str, row: str) -> int:
    """Bytes of plain text in an AEAD of a core: without its tag and the mark of its padding."""
    (size,) = (claim for text, claim, _ in sized(name).claims() if text == row)
    return size - limits.TAG - 1


def sized(name: str) -> spec.Drawing:
    size = limits.CORE if name.endswith(" core") else DRAWINGS[name].size
    return DRAWINGS[name]._replace(size=size)


@pytest.mark.parametrize("name", NAMED)
def test_the_table_says_what_the_program_does(name: str) -> None:
    assert TABLE[name] == NAMED[name]


def test_the_table_holds_nothing_else() -> None:
    assert set(TABLE) == set(NAMED) | COMPUTED


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_fits_its_offsets(name: str) -> None:
    drawing = sized(name)
    assert drawing.rising()
    assert drawing.claims()
    for text, claim, space in drawing.claims():
        assert claim == space, text


@pytest.mark.parametrize("kind", KINDS)
def test_every_core_starts_behind_the_common_head(kind: str) -> None:
    assert DRAWINGS[f"{kind} core"].offsets()[0] == core.HEAD == 21


def test_the_drawn_sizes() -> None:
    assert DRAWINGS["block"].size == limits.BLOCK == limits.NONCE + limits.CORE + limits.TAG
    assert DRAWINGS["core"].size == limits.CORE
    assert DRAWINGS["bundle"].size == limits.BUNDLE
    assert DRAWINGS["place"].size == expiry.PLACE
    assert DRAWINGS["request"].offsets()[-1] == drop.REQUEST_HEAD
    assert DRAWINGS["answer"].offsets()[-1] == drop.MAC


def test_a_group_core_has_a_slot_for_every_entry() -> None:
    assert DRAWINGS["group core"].offsets()[-1] == core.GROUP_HASHED
    assert core.GROUP_HASHED + limits.ENTRIES * limits.SLOT_MAC == limits.CORE


def test_part_and_content() -> None:
    part = room("group core", "AEAD 2797") - DRAWINGS["part"].offsets()[-1]
    assert TABLE["group part / content"] == [part, part * limits.PARTS]


def test_line_content() -> None:
    plain = room("line core", "AEAD 1611")
    assert TABLE["line content"] == [plain, plain - limits.KEM_CIPHERTEXT]


def test_intro_payload() -> None:
    assert TABLE["intro payload"] == [room("intro core", "AEAD 1745")]


def test_a_use_and_a_number_are_one_byte() -> None:
    assert limits.USES == limits.POSTS == 256
    assert "use u, 0–255" in spec.section(13)


def test_what_is_asked_for_comes_after_a_delay_that_grows_with_the_channel() -> None:
    delay = f"up to {limits.REPOST_DELAY} s and {limits.REPOST_SPREAD} s for each member"
    assert delay in " ".join(spec.section(16).split())


def test_a_full_roster_fits_its_pieces() -> None:
    piece = room("roster core", "AEAD 4003")
    assert piece * limits.ROSTER_PIECES >= 4 + limits.ROSTER_BYTES + limits.ENTRIES * limits.BUNDLE


def test_the_longest_charter_fits_a_card() -> None:
    piece = room("card core", "AEAD 4003") - 2
    assert piece * limits.CARD_PIECES >= limits.CHARTER_BYTES + limits.BUNDLE + 4096


def test_classes_rise_to_the_longest_lifetime() -> None:
    assert list(limits.CLASSES) == sorted(set(limits.CLASSES))
    assert limits.CLASSES[-1] == limits.LIFETIME
    assert f'"classes": {list(limits.CLASSES)}' in spec.section(18)
    assert f'"max_blocks": {limits.MOST_BLOCKS}' in " ".join(spec.section(18).split())
