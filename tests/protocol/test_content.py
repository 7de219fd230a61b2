"""What people and their programs say to everybody: SPEC.md section 15."""

from hashlib import sha256
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import content, hotline, limits
from backchannel.protocol.codec import Record, encode
from backchannel.protocol.content import (
    Announcement,
    Ask,
    Candidate,
    Compared,
    Consent,
    Content,
    Digest,
    DigestRow,
    Echo,
    File,
    Floor,
    Gone,
    Hand,
    Leave,
    Paraphrase,
    Part,
    Prekey,
    Proposal,
    Release,
    Text,
    Thread,
    Threads,
    Vouch,
    read_content,
    split,
)
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.roster import ROLES, Policy
from backchannel.protocol.types import MessageId
from backchannel.protocol.whisper import Nothing
from tests.support import cast
from tests.support.bits import flip

ID = MessageId(b"message".ljust(16, b"."))
TEXT = Text.plain(bytes(16), 24, "hello")
IDS = st.binary(min_size=16, max_size=16)
HASHES = st.binary(min_size=32, max_size=32)
SLOTS = st.integers(0, 63)
NUMBERS = st.integers(0, 2**32 - 1)
LIFETIMES = st.integers(1, 2160)
WORDS = st.text("Zoë, 山田\n", min_size=1, max_size=100)
LINE = st.text("Zoë, 山田", min_size=1, max_size=32)
NAMES = st.text("abc", min_size=1, max_size=32)
FLAGS = st.integers(0, 1)
BURNS = st.integers(0, 2160)
THREADS = st.builds(Thread, IDS.filter(any), LIFETIMES, LINE, BURNS, FLAGS)
PREKEYS = st.sampled_from([cast.bundle(name).prekey.pack() for name in ("anna", "bela")])
GONE = st.builds(Gone, SLOTS, st.sampled_from(["removed", "compromised", "left", "replaced"]))
POLICIES = st.builds(
    Policy,
    LIFETIMES,
    st.sampled_from(["plenary", "shuttle"]),
    st.integers(4, 64),
    st.integers(0, 8),
)
FILES = st.integers(1, limits.FILE_BYTES).flatmap(
    lambda size: st.builds(
        File,
        IDS,
        LIFETIMES,
        NAMES,
        st.just(size),
        HASHES,
        st.lists(HASHES, min_size=(n := content.index_cores(size)), max_size=n).map(tuple),
        BURNS,
    )
)


def some(each: st.SearchStrategy[Any], fewest: int, most: int) -> st.SearchStrategy[Any]:
    return st.lists(each, min_size=fewest, max_size=most).map(tuple)


MINUTES = st.integers(1, 4320)
NAMED = st.builds(hotline.Named, SLOTS, IDS)
OF_AN_INCIDENT = (
    st.integers(0, 2), st.just("") | LINE, NUMBERS, MINUTES, MINUTES, FLAGS, LINE,
)  # fmt: skip
KINDS: dict[type, st.SearchStrategy[Any]] = {
    Text: st.builds(
        Text,
        IDS,
        LIFETIMES,
        st.integers(0, 2),
        st.integers(0, 2),
        FLAGS,
        st.just(b"") | IDS,
        st.text("Zoë, 山田\n", max_size=100),
        WORDS,
        BURNS,
    )
    | st.builds(lambda text: replace(TEXT, text=text, off=1), WORDS),
    Threads: st.builds(Threads, some(THREADS, 1, 4)),
    Announcement: st.builds(
        Announcement, NUMBERS, HASHES, some(HASHES, 1, 64), st.just(b"") | HASHES, some(GONE, 0, 64)
    ),
    Echo: st.builds(Echo, NUMBERS, HASHES),
    Ask: st.builds(
        Ask,
        some(HASHES, 1, 10),
        some(st.tuples(SLOTS, IDS), 0, 10),
        some(st.tuples(SLOTS, NUMBERS), 0, 10),
    ),
    Prekey: st.builds(Prekey, PREKEYS),
    Leave: st.builds(Leave),
    Digest: st.builds(
        Digest,
        FLAGS,
        NUMBERS,
        NUMBERS,
        some(st.builds(DigestRow, NUMBERS, NUMBERS, NUMBERS, HASHES), 0, 42),
        some(HASHES, 0, 16),
    ),
    Compared: st.builds(Compared, HASHES),
    Proposal: st.builds(Proposal, POLICIES),
    Consent: st.builds(Consent, HASHES),
    Paraphrase: st.builds(Paraphrase, IDS, WORDS),
    Release: st.builds(Release, IDS, HASHES),
    Floor: st.builds(Floor, some(SLOTS, 0, 1)),
    Hand: st.builds(Hand, FLAGS),
    File: FILES,
    Candidate: st.builds(Candidate, NAMES, NAMES, st.sampled_from(ROLES), HASHES),
    Vouch: st.builds(Vouch, HASHES),
    hotline.Test: st.builds(hotline.Test, st.integers(0, 15)),
    hotline.Heard: st.builds(hotline.Heard, NAMED),
    hotline.Duty: st.builds(
        hotline.Duty,
        st.integers(0, 168),
        st.dictionaries(SLOTS, st.binary(min_size=21, max_size=21)).map(
            lambda found: tuple(hotline.Watch(slot, found[slot]) for slot in sorted(found))
        ),
        st.lists(SLOTS, max_size=16, unique=True).map(tuple),
        FLAGS,
    ),
    hotline.Incident: st.builds(
        hotline.Incident, st.just(()), st.just(0), st.just(0), *OF_AN_INCIDENT
    )
    | st.builds(hotline.Incident, some(NAMED, 1, 1), NUMBERS, st.integers(0, 2), *OF_AN_INCIDENT),
    hotline.Attend: st.builds(
        hotline.Attend, NAMED, st.sampled_from(["ack", "close"]), st.just(()), st.just("") | LINE
    )
    | st.builds(
        lambda one, other, text: hotline.Attend(one, "merge", (other,), text),
        NAMED,
        st.builds(hotline.Named, SLOTS, st.just(b"another".ljust(16, b"."))),
        LINE,
    ),
    hotline.Convene: st.builds(hotline.Convene, NUMBERS, LINE, LINE),
    hotline.Coming: st.builds(hotline.Coming, NAMED, FLAGS),
}
CONTENTS = st.one_of(*KINDS.values())


def test_each_content_is_tried() -> None:
    assert set(KINDS) == set(get_args(Content))


# --- Contents -------------------------------------------------------------------------------------


@given(CONTENTS)
def test_a_content_is_read_as_written(each: Content) -> None:
    assert read_content(encode(each)) == each


@given(CONTENTS, st.data())
def test_a_changed_content_is_another_or_none(each: Content, data: st.DataObject) -> None:
    encoded = encode(each)
    changed = flip(encoded, data.draw(st.integers(0, 8 * len(encoded) - 1)))
    try:
        read = read_content(changed)
    except DecodeError:
        return
    assert read != each
    assert encode(read) == changed


@given(st.binary(max_size=100))
def test_noise_is_no_content(data: bytes) -> None:
    try:
        assert encode(read_content(data)) == data
    except DecodeError:
        return


THREAD = Thread(b"t" * 16, 24, "topic")
HASH = b"h" * 32
ROW = DigestRow(1, 2**32 - 1, 2**32 - 1, HASH)
DIGEST = Digest(0, 2**32 - 1, 2**32 - 1, (), ())
TEST = hotline.Named(0, ID)
INCIDENT = hotline.Incident((), 0, 0, 1, "P7", 500_000, 30, 360, 0, "Shots at the bridge.")
DUTY = hotline.Duty(24, (hotline.Watch(1, bytes(21)), hotline.Watch(2, bytes(21))), (2, 1))
FILE = File(bytes(16), 24, "a file", 1, HASH, (HASH,))
REFUSED: dict[str, Record] = {
    "thread too short": replace(TEXT, thread=bytes(15)),
    "lifetime 0": replace(TEXT, lifetime=0),
    "lifetime too long": replace(TEXT, lifetime=2161),
    "no text": replace(TEXT, text=""),
    "text not composed": replace(TEXT, text="Zoe\u0308"),
    "no thread": Threads(()),
    "65 threads": Threads((THREAD,) * 65),
    "no topic": Threads((replace(THREAD, topic=""),)),
    "a topic too long": Threads((replace(THREAD, topic="t" * 121),)),
    "a topic not composed": Threads((THREAD, replace(THREAD, topic="Zoe\u0308"))),
    "the channel's own thread": Threads((THREAD, replace(THREAD, thread=bytes(16)))),
    "no pieces": Announcement(1, HASH, ()),
    "65 pieces": Announcement(1, HASH, (HASH,) * 65),
    "a piece too short": Announcement(1, HASH, (HASH[:-1],)),
    "version too large": Announcement(2**32, HASH, (HASH,)),
    "an ask for nothing": Ask((), (), ()),
    "an ask for 33": Ask((HASH,) * 11, ((0, ID),) * 11, ((0, 0),) * 11),
    "a slot that cannot be": Ask((), ((64, ID),), ()),
    "a step too large": Ask((), (), ((0, 2**32),)),
    "a generation too short": Ask((), ((0, ID[:-1]),), ()),
    "no authority": replace(TEXT, authority=3),
    "no release": replace(TEXT, release=3),
    "carried twice": replace(TEXT, carried=2),
    "about half a message": replace(TEXT, about=bytes(15)),
    "about more than a message": replace(TEXT, about=bytes(17)),
    "a quote not composed": replace(TEXT, quote="Zoe\u0308"),
    "a quote too long": replace(TEXT, quote="q" * 501),
    "a topic of two lines": Threads((replace(THREAD, topic="a\nb"),)),
    "an epoch core's hash too short": Announcement(1, HASH, (HASH,), bytes(31)),
    "an epoch core's hash too long": Announcement(1, HASH, (HASH,), bytes(33)),
    "gone for no reason": Announcement(1, HASH, (HASH,), b"", (Gone(1, "lost"),)),  # type: ignore[arg-type]
    "gone from nowhere": Announcement(1, HASH, (HASH,), b"", (Gone(64, "left"),)),
    "65 who are gone": Announcement(1, HASH, (HASH,), b"", (Gone(1, "left"),) * 65),
    "a prekey too short": Prekey(bytes(1215)),
    "a row too many": replace(DIGEST, rows=(ROW,) * (limits.DIGEST_ROWS + 1)),
    "17 refused": replace(DIGEST, refused=(HASH,) * 17),
    "asked twice": replace(DIGEST, asks=2),
    "the floor for two": Floor((1, 2)),
    "two hands": Hand(2),
    "other words of nothing": Paraphrase(ID, ""),
    "other words not composed": Paraphrase(ID, "Zoe\u0308"),
    "rules that cannot be": Proposal(Policy(2161)),
    "a file of nothing": replace(FILE, size=0),
    "a file too large": replace(FILE, size=limits.FILE_BYTES + 1, index=(HASH,) * 22),
    "a file with an index too many": replace(FILE, index=(HASH,) * 2),
    "a file with an index too few": replace(FILE, size=124 * 3986 + 1),
    "a file without a name": replace(FILE, name=""),
    "a file with a name too long": replace(FILE, name="n" * 121),
    "a file with a name of two lines": replace(FILE, name="a\nb"),
    "a file with a name not composed": replace(FILE, name="Zoe\u0308"),
    "rules by which a guess names an author": Proposal(Policy(24, unattributed=3)),
    "a candidate whose name is none": Candidate("a\u202eb", "b", "observer", HASH),
    "a candidate of a party that is none": Candidate("a", " ", "observer", HASH),
    "a candidate in no role": Candidate("a", "b", "king", HASH),  # type: ignore[arg-type]
    "a canned text that there is not": hotline.Test(16),
    "an hour of the week too many": hotline.Duty(0, (hotline.Watch(1, bytes(22)),), ()),
    "watches out of order": replace(DUTY, watches=DUTY.watches[::-1]),
    "two watches of one": replace(DUTY, watches=DUTY.watches[:1] * 2),
    "a rung twice": replace(DUTY, ladder=(1, 1)),
    "a ladder too long": replace(DUTY, ladder=tuple(range(17))),
    "tests less than weekly": replace(DUTY, tests=169),
    "no incident": replace(INCIDENT, text=""),
    "an incident too long": replace(INCIDENT, text="t" * 501),
    "an incident of two lines": replace(INCIDENT, text="a\nb"),
    "an incident that rings": replace(INCIDENT, text="a\x07"),
    "a place that moves the cursor": replace(INCIDENT, place="P7\x1b[2J"),
    "a place not composed": replace(INCIDENT, place="Zoe\u0308"),
    "a deadline of no time": replace(INCIDENT, ack=0),
    "a deadline too far": replace(INCIDENT, respond=4321),
    "an incident graver than the gravest": replace(INCIDENT, severity=3),
    "an incident that begins and was answered": replace(INCIDENT, reached=2),
    "an incident that begins and had begun": replace(INCIDENT, opened=1),
    "an incident of two": replace(INCIDENT, of=(TEST, TEST)),
    "a merge into nothing": hotline.Attend(TEST, "merge", (), ""),
    "a merge into itself": hotline.Attend(TEST, "merge", (TEST,), ""),
    "an ack of two": hotline.Attend(TEST, "ack", (hotline.Named(1, ID),), ""),
    "a deed that there is not": hotline.Attend(TEST, "open", (), ""),  # type: ignore[arg-type]
    "a call to nowhere": hotline.Convene(1, "", "now"),
    "a call of two lines": hotline.Convene(1, "here", "now\nor later"),
    "half a yes": hotline.Coming(TEST, 2),
    "more than a block of a call": hotline.Convene(1, "\U0001f6a8" * 500, "\U0001f6a8" * 500),
    "a line's content": Nothing(),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_post_may_not_say(why: str) -> None:
    with pytest.raises(DecodeError):
        read_content(encode(REFUSED[why]))


ALLOWED: dict[str, Content] = {
    "the longest life": replace(TEXT, lifetime=2160),
    "64 threads": Threads((THREAD,) * 64),
    "the longest topic": Threads((replace(THREAD, topic="桜" * 120),)),
    "64 pieces": Announcement(2**32 - 1, HASH, (HASH,) * 64),
    "the longest quote": replace(TEXT, quote="桜" * 500, about=b"m" * 16, carried=1, release=2),
    "64 who are gone": Announcement(1, HASH, (HASH,), HASH, (Gone(63, "compromised"),) * 64),
    "the longest digest": replace(
        DIGEST,
        asks=1,
        rows=(replace(ROW, hour=2**32 - 1),) * limits.DIGEST_ROWS,
        refused=(HASH,) * limits.DIGEST_REFUSED,
    ),
    "a file of one index block": replace(FILE, size=124 * 3986),
    "a file of two index blocks": replace(FILE, size=124 * 3986 + 1, index=(HASH,) * 2),
    "the largest file": replace(FILE, size=limits.FILE_BYTES, index=(HASH,) * 22, name="桜" * 80),
    "an ask for 32": Ask((HASH,) * 10, ((63, ID),) * 11, ((0, 2**32 - 1),) * 11),
}


@pytest.mark.parametrize("why", ALLOWED)
def test_what_it_may_say_at_the_limit(why: str) -> None:
    assert read_content(encode(ALLOWED[why])) == ALLOWED[why]


def test_attack_38_a_text_may_hold_anything_and_is_filtered_where_it_is_shown() -> None:
    wild = replace(TEXT, text="\x1b]52;c;aGk=\x07\u202e")
    assert read_content(encode(wild)) == wild


@pytest.mark.parametrize(
    "data", ["", "c0", "90", "91a474657874", "93a474657874c41000", "c1", "99a474657874" + "00" * 8]
)
def test_what_is_no_content_at_all(data: str) -> None:
    with pytest.raises(DecodeError):
        read_content(bytes.fromhex(data))


def test_a_longer_encoding_of_the_same_is_refused() -> None:
    encoded = encode(TEXT)
    longer = encoded.replace(b"\xa5hello", b"\xd9\x05hello")
    assert longer != encoded
    with pytest.raises(DecodeError, match="one encoding"):
        read_content(longer)


@pytest.mark.parametrize("which", ["the longest digest", "64 who are gone", "64 pieces"])
def test_what_everybody_may_have_to_say_fits_one_block(which: str) -> None:
    """Who may not speak says nothing longer, and an announcement is one part or none."""
    assert len(encode(ALLOWED[which])) <= content.PIECE


# --- What is named by a hash ----------------------------------------------------------------------


def test_the_hashes_as_written() -> None:
    rules = Policy(24, "shuttle", 4, 2, 24, 60, "dormant")
    packed = b"\x97\x18\xa7shuttle\x04\x02\x18\x3c\xa7dormant"
    assert encode(rules) == packed
    assert content.policy_hash(rules) == sha256(b"\x14backchannel/1 policy" + packed).digest()
    words = "zoë".encode()
    assert content.carried_words("zoë") == sha256(b"\x13backchannel/1 carry" + words).digest()
    with pytest.raises(DecodeError, match="half a character"):
        content.carried_words("zo\udceb")


# --- Parts ----------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, content.MOST - 80), st.integers(0, 2**32 - 1))
def test_a_long_text_in_parts(length: int, order: int) -> None:
    said = replace(TEXT, text="w" * length)
    parts = split(said, ID, order)
    read = [Part.parse(part.pack()) for part in parts]
    assert read == list(parts)
    assert [(part.place, part.total) for part in read] == [
        (n, len(parts)) for n in range(len(parts))
    ]
    assert {(part.id, part.order) for part in read} == {(ID, order)}
    assert read_content(b"".join(part.piece for part in read)) == said


def test_the_longest_message_and_one_more() -> None:
    assert (content.PIECE, content.MOST) == (2758, 44_128)
    room = content.MOST - len(encode(replace(TEXT, text="w" * 300))) + 300
    whole = replace(TEXT, text="w" * room)
    assert len(split(whole, ID, 1)) == limits.PARTS
    assert read_content(encode(whole)) == whole
    with pytest.raises(DecodeError, match="44,128"):
        split(replace(TEXT, text="w" * (room + 1)), ID, 1)
    with pytest.raises(DecodeError):
        read_content(encode(replace(TEXT, text="w" * (room + 1))))


@pytest.mark.parametrize(
    ("place", "total", "piece"),
    [(0, 0, b"p"), (1, 1, b"p"), (16, 17, b"p"), (0, 17, b"p"), (255, 255, b"p"), (0, 1, b"")],
)
def test_what_is_no_part(place: int, total: int, piece: bytes) -> None:
    with pytest.raises(DecodeError, match="not a part"):
        Part.parse(Part(ID, 1, place, total, piece).pack())


@pytest.mark.parametrize("size", [0, 16, 20, 21, 22])
def test_a_part_has_a_whole_head(size: int) -> None:
    whole = Part(ID, 1, 15, 16, b"p").pack()
    assert Part.parse(whole).place == 15
    with pytest.raises(DecodeError, match="not a part"):
        Part.parse(whole[:size])
