"""Vectors of sections 14 and 15: generations, key blocks, posts, and what they say."""

from itertools import count

import msgspec

from backchannel.protocol import content, epoch, hotline, sender_key, unattributed
from backchannel.protocol import line as lines
from backchannel.protocol.chain import Chain
from backchannel.protocol.codec import encode
from backchannel.protocol.core import Head, Kind, content_hash
from backchannel.protocol.roster import seal_piece
from backchannel.protocol.secret import (
    ChainKey,
    ChainSeed,
    CoreSecret,
    ExportKey,
    MacSeed,
    MaskKey,
)
from backchannel.protocol.types import (
    ContentHash,
    Core,
    MessageId,
    RosterHash,
    Slot,
    Step,
)
from tests.support import cast
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.make_vectors.cases import (
    CLOCK,
    HOUR,
    SECOND,
    SECRET,
    Cases,
    case,
    changed,
    damaged,
    fixed,
    lost_mask,
    of_byte,
    with_bytes,
)
from tests.support.vectors import Case

READER, SENDER = Slot(2), Slot(1)
MASK = MaskKey(fixed("mask"))


def sender_keys() -> Cases:
    export = ExportKey(fixed("export"))
    yield case("a generation", "generation", chain_seed=fixed("seed"), use=export.expose())
    yield from _uses()
    yield case("a mask key", "mask key", export_ab=export.expose())
    yield from _key_blocks(export)
    yield from _posts(export)


def _uses() -> Cases:
    """Of one export: in any order, each once."""
    taken = {
        "in order": ("ok", [0, 1, 2]),
        "out of order": ("ok", [2, 0, 1, 3]),
        "a jump over 64": ("ok", [64, 0, 63]),
        "two jumps over 64, the newest kept": ("ok", [64, 129, 65, 128]),
        "two jumps over 64, the older not": ("stale", [64, 129, 63]),
        "the last": ("ok", [64, 129, 194, 255]),
        "one twice": ("stale", [0, 0]),
        "one jumped over, twice": ("stale", [2, 1, 1]),
        "a jump over 65": ("stale", [65]),
        "a jump over 65 from a later one": ("stale", [9, 75]),
    }
    for name, (expect, uses) in taken.items():
        yield case(f"uses: {name}", "uses", expect, export=fixed("export"), uses=uses)


def _wrap(step: int, use: int, export: ExportKey) -> lines.Wrap:
    chain = Chain(ChainKey(export.expose()))
    return lines.Wrap(Step(step), use, chain.take(use, use)[1], MASK)


def _key_blocks(export: ExportKey) -> Cases:
    wraps = {READER: _wrap(9, 2, export), Slot(5): _wrap(0, 0, ExportKey(fixed("other")))}
    head = Head(Kind.KEY, HOUR, fixed("salt", 16))
    _, core = sender_key.seal_key_block(
        SENDER, RosterHash(SECOND.hash), wraps, lambda _: CLOCK, head, ScriptedEntropy("key")
    )
    given = {
        "core": core,
        "clock": CLOCK.expose(),
        "export": export.expose(),
        "mask_key": MASK.expose(),
        "reader": READER,
    }
    good = case("a key block", "key block", **given)
    yield good
    theirs = 70 + 52 * 5
    yield case(
        "a key block, another's entry changed",
        "key block",
        **given | {"core": flip(core, of_byte(theirs + 4))},
    )
    for why, at in (
        ("generation id", 22),
        ("roster hash", 38),
        ("step", 70 + 104),
        ("use", 70 + 104 + 3),
        ("entry", 70 + 104 + 4),
    ):
        yield damaged(good, f"a key block, {why} changed", "ciphertext", "core", 8 * at)
    for use, expect in ((64, "ok"), (65, "stale")):
        far = {READER: _wrap(2**24 - 1, use, export)}
        _, core = sender_key.seal_key_block(
            SENDER, RosterHash(SECOND.hash), far, lambda _: CLOCK, head, ScriptedEntropy("far")
        )
        yield changed(good, f"a key block of use {use}", expect, core=core.hex())
    core = Core(bytes.fromhex(good["given"]["core"]))
    yield changed(good, "a key block, slot 64", "rules", core=with_bytes(core, 21, b"\x40"))
    yield changed(good, "a key block, another export", "ciphertext", export=bytes(32).hex())
    yield lost_mask(good, "a key block under another mask", mask_key="02" * 32)
    for why, at in (("slot", 21), ("hour", 4)):
        bad = flip(core, 8 * at).hex()
        yield lost_mask(good, f"a key block, {why} changed", core=bad)


def _posts(export: ExportKey) -> Cases:
    seed = ChainSeed(fixed("seed"))
    name = sender_key.generation_id(seed)
    mac, first = sender_key.mac_seed(export, name), sender_key.first_key(seed)
    own = sender_key.OwnGeneration(name, HOUR, first, 0, {READER: mac})
    parents = (
        sender_key.Parent(ContentHash(fixed("parent 1")), 0),
        sender_key.Parent(ContentHash(fixed("parent 2")), 255),
    )
    text = content.Text.plain(bytes(16), 24, "hello")
    said = content.split(text, MessageId(fixed("id", 16)), 7)[0]
    goods: list[Case] = []
    for number in range(3):
        head = Head(Kind.GROUP, HOUR, fixed(f"salt {number}", 16))
        named = parents[:number]
        own, core, _ = sender_key.seal_post(
            own,
            SENDER,
            RosterHash(SECOND.hash),
            named,
            said.pack(),
            lambda _: CLOCK,
            head,
            ScriptedEntropy(number),
        )
        goods.append(_post(f"post {number}", core, first, mac, 0))
        yield goods[-1]
        yield case(f"header of post {number}", "group header", core=core)
    good, core = goods[2], Core(bytes.fromhex(goods[2]["given"]["core"]))
    yield changed(good, "a number that was used", "stale", at=3)
    for why, at in (("header", 22), ("body", 235), ("commitment", 203), ("slot", 3032 + 32)):
        yield damaged(good, f"{why} changed", "mac", "core", 8 * at)
    other = _post("post 2, another's slot changed", Core(flip(core, 8 * 3032)), first, mac, 0)
    yield other
    yield from _forged(good, core, mac)
    fields = {
        "slot 64": with_bytes(core, 21, b"\x40"),
        "parents that fall": with_bytes(core, 71, core[103:135] + core[71:103]),
        "one parent twice": with_bytes(core, 71, core[71:103] * 2),
        "an unused parent before one": with_bytes(core, 71, bytes(32)),
        "an age of no parent": with_bytes(core, 202, b"\1"),
    }
    for why, bad in fields.items():
        yield case(f"header, {why}", "group header", "rules", core=bytes.fromhex(bad))


def _forged(good: Case, core: bytes, mac: MacSeed) -> Cases:
    """By who knows the reader's MAC seed: the slot verifies, the body does not open."""
    for why, at, reason in (("body", 235, "ciphertext"), ("commitment", 203, "commitment")):
        bad = flip(core, 8 * at)
        slot = sender_key.slot_mac(mac, core[38], content_hash(Core(bad)))
        forged = with_bytes(bad, 3032 + 16 * READER, slot)
        yield changed(good, f"{why} changed under a good slot", reason, core=forged)


def _post(name: str, core: Core, chain: ChainKey, mac: MacSeed, at: int) -> Case:
    return case(
        name,
        "group",
        core=core,
        clock=CLOCK.expose(),
        chain_key=chain.expose(),
        at=at,
        mac_seed=mac.expose(),
        reader=READER,
    )


THREAD = fixed("thread", 16)


def contents() -> Cases:
    text = content.Text.plain(THREAD, 24, "Grüße")
    said: dict[str, content.Content] = {
        "text": text,
        "text in the channel's own thread": content.Text.plain(bytes(16), 2160, "a"),
        "text that says all": content.Text(
            THREAD, 24, 2, 1, 1, fixed("about", 16), "their words", "Grüße", 2160
        ),
        "text off the record": msgspec.structs.replace(text, off=1),
        "text of one block off the record": _longest_off(text),
        "threads": content.Threads(
            (
                content.Thread(THREAD, 1, "t" * 120),
                content.Thread(fixed("2", 16), 24, "Ж"),
                content.Thread(fixed("3", 16), 24, "burn", 1),
                content.Thread(fixed("4", 16), 24, "off", 2160, 1),
            )
        ),
        "roster": content.Announcement(2, SECOND.hash, (fixed("a"), fixed("b"))),
        "roster that begins an epoch": content.Announcement(
            2,
            SECOND.hash,
            (fixed("a"),),
            fixed("epoch core"),
            (content.Gone(1, "left"), content.Gone(63, "compromised")),
        ),
        "ask": content.Ask((fixed("a"),), ((1, fixed("g", 16)),), ((63, 0), (0, 2**32 - 1))),
        "ask for 32": content.Ask((fixed("a"),) * 32, (), ()),
        **_of_each_other(),
    }
    for name, each in said.items():
        yield case(name, "content", encoded=encode(each))
    yield from _contents_refused(text)
    rules = SECOND.policy
    yield case("hash of a policy", "policy", encoded=encode(rules))
    few = encode(msgspec.structs.replace(rules, unattributed=3))
    yield case("hash of a policy for three people", "policy", "rules", encoded=few)
    yield case("hash of carried words", "carried", text="Grüße")
    yield from _pieces()
    yield from _files()
    yield from _parts()


def _longest_off(text: content.Text) -> content.Text:
    bare = len(encode(msgspec.structs.replace(text, text="", off=1)))
    return msgspec.structs.replace(text, text="a" * (content.PIECE - bare - 2), off=1)


def _of_each_other() -> dict[str, content.Content]:
    row = content.DigestRow(HOUR, 3, 2, fixed("row"))
    return {
        "echo": content.Echo(3, SECOND.hash),
        "prekey": content.Prekey(cast.bundle("anna").prekey.pack()),
        "leave": content.Leave(),
        "digest": content.Digest(1, HOUR, 2, (row, row), (fixed("refused"),)),
        "digest of nothing": content.Digest(0, HOUR, 2, (), ()),
        "compared": content.Compared(fixed("words")),
        "proposal": content.Proposal(SECOND.policy),
        "consent": content.Consent(fixed("policy")),
        "consent that is none": content.Consent(fixed("policy"), 0),
        "paraphrase": content.Paraphrase(fixed("about", 16), "other words"),
        "release": content.Release(fixed("about", 16), content.carried_words("other words")),
        "floor": content.Floor((5,)),
        "floor for everybody": content.Floor(()),
        "hand": content.Hand(1),
        "file": content.File(THREAD, 24, "A paper.pdf", 5000, fixed("key"), (fixed("a"),)),
        "file to burn": content.File(
            THREAD, 24, "A paper.pdf", 5000, fixed("key"), (fixed("a"),), 6
        ),
        "candidate": content.Candidate("dora", "South", "observer", fixed("identity")),
        "vouch": content.Vouch(fixed("identity")),
        **_of_a_hotline(),
    }


def _of_a_hotline() -> dict[str, content.Content]:
    one, other = (hotline.Named(slot, fixed(str(slot), 16)) for slot in (1, 2))
    opened = hotline.Incident((), 0, 0, 2, "P7", HOUR, 30, 360, 1, "Shots at the bridge.")
    watches = tuple(hotline.Watch(s, hotline.week_of({s, 167})) for s in (1, 5))
    return {
        "test": hotline.Test(15),
        "heard": hotline.Heard(one),
        "duty": hotline.Duty(24, watches, (5, 1)),
        "duty of nobody, retold": hotline.Duty(0, (), (), 1),
        "incident": opened,
        "incident that goes on": msgspec.structs.replace(
            opened, of=(one,), opened=HOUR, reached=1, place=""
        ),
        "ack": hotline.Attend(one, "ack", (), ""),
        "close": hotline.Attend(one, "close", (), "Our people hold fire."),
        "merge": hotline.Attend(one, "merge", (other,), ""),
        "convene": hotline.Convene(HOUR + 1, "The bridge", "What happened"),
        "coming": hotline.Coming(one, 0),
    }


def _refused_of_a_hotline() -> dict[str, content.Content]:
    replace, each = msgspec.structs.replace, _of_a_hotline()
    one, opened, duty = hotline.Named(1, fixed("1", 16)), each["incident"], each["duty"]
    assert isinstance(duty, hotline.Duty)
    return {
        "a test of no text": hotline.Test(16),
        "watches that do not rise": replace(duty, watches=duty.watches[::-1]),
        "a rung twice": replace(duty, ladder=(1, 1)),
        "an incident that begins and was answered": replace(opened, reached=2),
        "an incident that begins and had begun": replace(opened, opened=1),
        "an incident of two lines": replace(opened, text="a\nb"),
        "a place of 41 characters": replace(opened, place="p" * 41),
        "no time to acknowledge": replace(opened, ack=0),
        "three days and a minute": replace(opened, respond=4321),
        "an ack of two": hotline.Attend(one, "ack", (hotline.Named(2, one.id),), ""),
        "a merge with nothing": hotline.Attend(one, "merge", (), ""),
        "a merge with itself": hotline.Attend(one, "merge", (one,), ""),
        "a call of more than a part": hotline.Convene(HOUR, "桜" * 500, "桜" * 500),
    }


def _refused_of_each_other() -> dict[str, content.Content]:
    replace, each = msgspec.structs.replace, _of_each_other()
    file = content.File(THREAD, 24, "name", 1, bytes(32), (bytes(32),))
    row = content.DigestRow(0, 0, 0, bytes(32))
    names = {
        "a separator": "a/b",
        "a device": "NUL.txt",
        "a full stop before it": ".name",
        "a space after it": "name ",
        "a right-to-left mark": "a\u202eb",
        "121 characters": "n" * 121,
        "over 240 bytes": "桜" * 81,
    }
    return {
        **_refused_of_a_hotline(),
        "a prekey of 1215": content.Prekey(bytes(1215)),
        "a prekey of low order": content.Prekey(
            cast.LOW_ORDER[0] + cast.bundle("anna").prekey.pack()[32:]
        ),
        "43 rows": content.Digest(0, 0, 0, (row,) * 43, ()),
        "17 refused": content.Digest(0, 0, 0, (), (bytes(32),) * 17),
        "a policy for three people": content.Proposal(replace(SECOND.policy, unattributed=3)),
        "a floor for two": content.Floor((1, 2)),
        "a hand of 2": content.Hand(2),
        "other words of nothing": content.Paraphrase(bytes(16), ""),
        "a file of nothing": replace(file, size=0),
        "a file with an index too many": replace(file, index=(bytes(32),) * 2),
        "a candidate of no name": replace(each["candidate"], alias=" "),
        **{f"a file's name, {why}": replace(file, name=name) for why, name in names.items()},
    }


def _pieces() -> Cases:
    """Cores of kinds 2 and 3: the shape of a roster core under other secrets."""
    head = Head(Kind.UNATTRIBUTED, HOUR, fixed("salt", 16))
    post = unattributed.Unattributed(THREAD, 24, "nobody")
    core = unattributed.seal_unattributed(post, SECRET, lambda _: CLOCK, head)
    given = {"core": core, "clock": CLOCK.expose()}
    good = case("unattributed", "unattributed", epoch_secret=SECRET.expose(), **given)
    yield good
    yield changed(good, "unattributed, another epoch", "commitment", epoch_secret=bytes(32).hex())
    yield damaged(good, "unattributed, ciphertext changed", "ciphertext", "core", of_byte(53))
    bad = encode(msgspec.structs.replace(post, text=""))
    secret = epoch.unattributed_secret(SECRET)
    empty = seal_piece(bad, secret, lambda _: CLOCK, head)
    yield changed(good, "unattributed, of nothing", "rules", core=empty.hex())
    key = CoreSecret(fixed("file"))
    core = seal_piece(b"piece", key, lambda _: CLOCK, head._replace(kind=Kind.CHUNK))
    given = {"core": core, "clock": CLOCK.expose(), "key": key.expose()}
    good = case("a chunk of a file", "chunk", **given)
    yield good
    yield damaged(good, "a chunk, ciphertext changed", "ciphertext", "core", of_byte(53))
    yield changed(good, "a chunk, another key", "commitment", key=bytes(32).hex())


def _files() -> Cases:
    """A file of two data cores and an index."""
    key, salts = CoreSecret(fixed("file")), count()

    def seal(piece: bytes) -> Core:
        head = Head(Kind.CHUNK, HOUR, fixed(f"piece {next(salts)}", 16))
        return seal_piece(piece, key, lambda _: CLOCK, head)

    data = (bytes(range(251)) * 20)[:5000]
    cores = [seal(data[: content.CHUNK]), seal(data[content.CHUNK :])]
    names = b"".join(map(content_hash, cores))
    index = seal(names)
    post = content.File(THREAD, 24, "A paper.pdf", 5000, key.expose(), (content_hash(index),))
    given = {"post": encode(post), "clock": CLOCK.expose(), "cores": [index, *cores]}
    good = case("a file", "file", **given)
    yield good
    yield changed(good, "a file in another order", "ok", cores=good["given"]["cores"][::-1])
    yield changed(good, "a file, a core missing", "rules", cores=good["given"]["cores"][:-1])
    bad = [index, cores[0], flip(cores[1], of_byte(53))]
    yield case("a file, a core changed", "file", "rules", **given | {"cores": bad})
    replace = msgspec.structs.replace
    for why, size in (("a byte longer", 5001), ("of one core", 3986)):
        lie = encode(replace(post, size=size)).hex()
        yield changed(good, f"a file, its post tells of one {why}", "rules", post=lie)
    turned = seal(names[32:] + names[:32])
    other = encode(replace(post, index=(content_hash(turned),)))
    told = given | {"post": other, "cores": [turned, *cores]}
    yield case("a file, its index in another order", "file", **told)
    other = encode(replace(post, key=bytes(32)))
    yield changed(good, "a file, another key", "commitment", post=other.hex())


def _contents_refused(text: content.Text) -> Cases:
    replace = msgspec.structs.replace
    thread = content.Thread(THREAD, 1, "t")
    refused: dict[str, content.Content] = {
        "a text of nothing": replace(text, text=""),
        "a text not NFC": replace(text, text="e\u0301"),
        "lifetime 0": replace(text, lifetime=0),
        "lifetime 2161": replace(text, lifetime=2161),
        "a thread of 15": replace(text, thread=bytes(15)),
        "no threads": content.Threads(()),
        "65 threads": content.Threads((thread,) * 65),
        "thread zero begins": content.Threads((replace(thread, thread=bytes(16)),)),
        "a topic of 121": content.Threads((replace(thread, topic="t" * 121),)),
        "a topic of nothing": content.Threads((replace(thread, topic=""),)),
        "no pieces": content.Announcement(2, bytes(32), ()),
        "65 pieces": content.Announcement(2, bytes(32), (bytes(32),) * 65),
        "an ask for nothing": content.Ask((), (), ()),
        "an ask for 33": content.Ask((bytes(32),) * 33, (), ()),
        "an ask of slot 64": content.Ask((), ((64, bytes(16)),), ()),
        "authority 3": replace(text, authority=3),
        "release 3": replace(text, release=3),
        "carried 2": replace(text, carried=2),
        "about half an id": replace(text, about=bytes(8)),
        "a quote of 501": replace(text, quote="q" * 501),
        "burn 2161": replace(text, burn=2161),
        "off 2": replace(text, off=2),
        "released, and off the record": replace(text, off=1, release=1),
        "off the record, over one block": replace(
            _longest_off(text), text=_longest_off(text).text + "a"
        ),
        "a thread of burn 2161": content.Threads((replace(thread, burn=2161),)),
        "a thread of off 2": content.Threads((replace(thread, off=2),)),
        "a control character in a topic": content.Threads((replace(thread, topic="a\nb"),)),
        "an epoch core of 31": content.Announcement(2, bytes(32), (bytes(32),), bytes(31)),
        **_refused_of_each_other(),
    }
    for why, each in refused.items():
        yield case(f"refused: {why}", "content", "rules", encoded=encode(each))
    packed = encode(text)
    odd: dict[str, bytes] = {
        "nothing": b"",
        "an unknown tag": b"\x91\xa4name",
        "a map": b"\x81\xa4text\x01",
        "a number not in its shortest form": packed.replace(b"\x18", b"\xcc\x18", 1),
        "a str for a bin": packed.replace(b"\xc4\x10", b"\xb0", 1),
        "nil": packed.replace(b"\x18", b"\xc0", 1),
        "true": packed.replace(b"\x18", b"\xc3", 1),
        "a negative number": packed.replace(b"\x18", b"\xff", 1),
        "a float": packed.replace(b"\x18", b"\xca\x41\xc0\x00\x00", 1),
        "a field too few": b"\x93" + packed[1:-8],
        "without its last field": bytes([packed[0] - 1]) + packed[1:-1],
        "UTF-8 that is none": packed[:-3] + b"\xff" + packed[-2:],
        "arrays within arrays": b"\x91" * 2000,
    }
    for why, data in odd.items():
        yield case(f"refused: {why}", "content", "encoding", encoded=data)
    long = encode(content.Text.plain(THREAD, 24, "a" * content.MOST))
    yield case("refused: over 44,128 bytes", "content", "size", encoded=long)


def _parts() -> Cases:
    name = MessageId(fixed("id", 16))
    text = content.Text.plain(THREAD, 24, "a" * 6000)
    parts = [part.pack() for part in content.split(text, name, 7)]
    for number, part in enumerate(parts):
        yield case(f"part {number}", "part", part=part)
    head = name + (7).to_bytes(4)
    for why, tail in (("index 1 of 1", b"\1\1x"), ("count 0", b"\0\0x"), ("count 17", b"\0\x11x")):
        yield case(f"part, {why}", "part", "rules", part=head + tail)
    yield case("part of no piece", "part", "size", part=head + b"\0\1")
    yield case("part of 2,758 bytes", "part", part=head + b"\0\1" + bytes(content.PIECE))
    longer = head + b"\0\1" + bytes(content.PIECE + 1)
    yield case("part of 2,759 bytes", "part", "size", part=longer)
    name_of_core = fixed("content hash")
    yield case(
        "key of a kept piece", "partial key", clock=CLOCK.expose(), content_hash=name_of_core
    )
    yield case("a message of three parts", "message", parts=parts)
    yield case("a message in another order", "message", parts=parts[::-1])
    yield case("a message with a part missing", "message", "rules", parts=parts[1:])
    other = content.Part.parse(parts[1])._replace(id=MessageId(bytes(16))).pack()
    yield case("parts of two messages", "message", "rules", parts=[parts[0], other, parts[2]])
    long = content.Announcement(2, SECOND.hash, (fixed("p"),) * 64)
    packed = encode(long)
    halves = [content.Part(name, 7, n, 2, packed[1500 * n : 1500 * (n + 1)]) for n in range(2)]
    yield case(
        "an announcement in two parts", "message", "rules", parts=[part.pack() for part in halves]
    )
