"""Each operation of the test vectors by backchannel.protocol."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from typing import cast as cast_any_as

from backchannel.protocol import (
    adoption,
    codec,
    content,
    epoch,
    epoch_core,
    exhibit,
    expiry,
    files,
    intro,
    invite,
    limits,
    pieces,
    primitives,
    roster,
    sender_key,
    unattributed,
    whisper,
    words,
)
from backchannel.protocol import line as lines
from backchannel.protocol.alias import _folded, check_alias
from backchannel.protocol.block import unwrap
from backchannel.protocol.chain import Chain
from backchannel.protocol.core import Clock, Head, Kind, content_hash, head_of, leaf_key
from backchannel.protocol.drop import (
    Create,
    Drop,
    DropKeys,
    Operation,
    Page,
    Read,
    Request,
    read_stored,
    read_voucher,
    voucher_hash,
)
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    RemoteProtocolError,
    ReplayError,
    UnknownError,
)
from backchannel.protocol.expiry import ExpiryKeys, Place, PlaceKind
from backchannel.protocol.format import check_format
from backchannel.protocol.identity import (
    Bundle,
    BundleKeys,
    HybridPrivate,
    HybridPublic,
    identity_hash,
    prekey_id,
)
from backchannel.protocol.labels import Label
from backchannel.protocol.outcome import Offered
from backchannel.protocol.primitives import KemPublic, X25519Public, x25519_public
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.ratchet import Header
from backchannel.protocol.secret import (
    AnswerKey,
    ChainKey,
    ChainSeed,
    ClockValue,
    CloseSecret,
    CoreSecret,
    EpochSecret,
    EpochSeed,
    ExpiryKey,
    ExportKey,
    FileKey,
    HeaderKey,
    IntroKey,
    ItemKey,
    KemSeed,
    KemShared,
    MacSeed,
    MaskKey,
    MessageKey,
    OnceSecret,
    OuterSecret,
    RequestKey,
    RootKey,
    StoreKey,
    ThreadKey,
    X25519Private,
)
from backchannel.protocol.successor import Announced
from backchannel.protocol.types import (
    MAIN_THREAD,
    ChannelId,
    ContentHash,
    Core,
    DropId,
    EpochId,
    Hour,
    IdentityHash,
    MessageId,
    Slot,
    Step,
    Timestamp,
)
from tests.support import cast, vectors
from tests.support.vectors import Input, rows

_KINDS = {
    PlaceKind.EMPTY: "empty",
    PlaceKind.HEADER: "header",
    PlaceKind.EXPIRY: "expiry key",
    PlaceKind.THREAD: "thread key",
    PlaceKind.CLOCK: "clock",
    PlaceKind.BASE: "base key",
}


class Replay:
    """An `Entropy` that gives what a vector holds, in its order."""

    def __init__(self, draws: list[bytes], encapsulations: list[bytes]) -> None:
        self._draws = iter(draws)
        self._encapsulations = iter(encapsulations)

    def draw(self, count: int, /) -> bytes:
        drawn = next(self._draws)
        assert len(drawn) == count
        return drawn

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        return KemShared(next(self._encapsulations)), next(self._encapsulations)


def _core(given: Input, kind: Kind) -> tuple[Core, Head]:
    """A core and its head; the channel reads each kind by its own noun."""
    core = Core(given.hex("core"))
    head = head_of(core)
    if head.kind is not kind:
        msg = "a core of another kind"
        raise DecodeError(msg)
    return core, head


def _kdf(given: Input) -> bytes:
    label, context = Label(given["label"]), given.hex("context")
    return primitives.kdf(given.hex("secret"), given.hex("salt"), label, context, given["size"])


def _mac(given: Input) -> bytes:
    return primitives.mac(ChainKey(given.hex("key")), Label(given["label"]), given.hex("data"))


def _kem_public(given: Input) -> None:
    KemPublic(given.hex("public"))


def _dh(given: Input) -> bytes:
    private = X25519Private(given.hex("private"))
    return primitives.dh(private, X25519Public(given.hex("public")))


def _decapsulate(given: Input) -> bytes:
    return primitives.decapsulate(KemSeed(given.hex("seed")), given.hex("ciphertext")).expose()


def _xaead(given: Input) -> bytes:
    key = ItemKey(given.hex("key"))
    return primitives.xopen(
        key, given.hex("nonce"), given.hex("ciphertext"), given.hex("associated")
    )


def _epoch(given: Input) -> dict[str, bytes]:
    secret, clock = epoch.begin(EpochSeed(given.hex("seed")))
    name = epoch_core.seed_id(EpochSeed(given.hex("seed")))
    return {"secret": secret.expose(), "clock": clock.expose(), "seed_id": name}


def _epoch_keys(given: Input) -> dict[str, bytes]:
    secret = EpochSecret(given.hex("secret"))
    return {
        "intro_key": epoch.intro_key(secret).expose(),
        "roster_secret": epoch.roster_secret(secret).expose(),
        "unattributed_secret": epoch.unattributed_secret(secret).expose(),
        "epoch_id": epoch.epoch_id(secret),
    }


def _commitment(given: Input) -> bytes:
    secret, clock = EpochSecret(given.hex("secret")), ClockValue(given.hex("clock"))
    return epoch.commitment(secret, Hour(given["hour"]), clock)


def _drop(given: Input) -> dict[str, bytes]:
    relay = X25519Public(given.hex("relay_key"))
    drop = Drop.of_epoch(EpochSecret(given.hex("epoch_secret")), relay)
    close = drop.close_key(CloseSecret(given.hex("facilitators_secret")))
    return {
        "drop_id": drop.id,
        "access_key": drop.access.expose(),
        "access_public": x25519_public(drop.access).value,
        "outer_secret": drop.outer.expose(),
        "close_key": close.expose(),
    }


def _block(given: Input) -> dict[str, bytes]:
    first, last = Hour(given["first"]), Hour(given["last"])
    clock = EpochClock(first, ClockValue(given.hex("clock")))
    secret = OuterSecret(given.hex("outer_secret"))
    core = unwrap(given.hex("block"), secret, clock, Hour(given["hint"]), (first, last))
    return {"core": core, "content_hash": content_hash(core)}


def _content_hash(given: Input) -> bytes:
    core = Core(given.hex("core"))
    head_of(core)
    return content_hash(core)


def _bundle(given: Input) -> dict[str, bytes]:
    bundle = Bundle.parse(given.hex("bundle"))
    return {
        "identity_hash": identity_hash(bundle.identity),
        "prekey_id": prekey_id(bundle.prekey),
    }


def _roster(given: Input) -> dict[str, Any]:
    found = roster.Roster.parse(given.hex("encoded"))
    return {"hash": found.hash, "fields": rows(found)}


def _package(given: Input) -> dict[str, Any]:
    package = roster.Package.parse(given.hex("package"))
    prekeys = [prekey_id(bundle.prekey) for bundle in package.bundles.values()]
    return {"hash": package.roster.hash, "prekeys": prekeys}


def _roster_piece(given: Input) -> bytes:
    core, head = _core(given, Kind.ROSTER)
    clock = ClockValue(given.hex("clock"))
    return roster.open_piece(core, CoreSecret(given.hex("roster_secret")), lambda _: clock, head)


def _successor(given: Input) -> None:
    """Of a member who knows its roster, and whether it has agreed to the next one's policy."""
    new, current = (roster.Roster.parse(given.hex(name)) for name in ("new", "current"))
    agreed = Proposed(new.policy, Slot(0), Hour(0), (Slot(0),) if given["agreed"] else ())
    state = SimpleNamespace(
        me=0,
        former=[],
        lost={},
        before=0,
        tightened=0,
        proposals={content.policy_hash(new.policy): agreed},
        current=lambda: current,
    )
    gone = tuple(content.Gone(slot, "removed") for slot in given["gone"])
    named = bytes(32) if given["epoch_core"] else b""
    announcement = content.Announcement(new.version, new.hash, (bytes(32),), named, gone)
    waiting = Announced(Slot(new.issuer), announcement, EpochId(bytes(16)))
    adoption.check_succession(cast_any_as("Any", state), new, waiting)
    check_format(new.policy, new.entries)


def _texts(given: Input) -> dict[str, bytes]:
    said = codec.decode(given.hex("disclosure"), roster.Disclosure, 10_000)
    return {"charter": roster.charter_hash(given["charter"]), "disclosure": said.hash}


def _check_words(given: Input) -> tuple[str, ...]:
    host, guest = given.inner("facilitator"), given.inner("newcomer")
    entry = roster.Entry(
        host["slot"], host["alias"], host["alias"], "facilitator", host.hex("identity_hash")
    )
    own = IdentityHash(guest.hex("identity_hash"))
    data = roster.check_data(ChannelId(given.hex("channel_id")), entry, guest["alias"], own)
    return words.spoken(data, words.CHECK)


def _lobby(given: Input) -> invite.Lobby:
    relay = X25519Public(given.hex("relay_key"))
    return invite.Lobby.of(invite.invite_secret(given.hex("entropy")), relay)


def _invite(given: Input) -> dict[str, bytes]:
    lobby = _lobby(given)
    return {
        "lobby_clock": lobby.clock.expose(),
        "card_secret": lobby.card.expose(),
        "drop_id": lobby.drop.id,
        "access_key": lobby.drop.access.expose(),
        "outer_secret": lobby.drop.outer.expose(),
    }


def _card_piece(given: Input) -> list[Any]:
    core, head = _core(given, Kind.CARD)
    return list(invite.open_card_piece(core, head, _lobby(given)))


def _private(given: Input) -> BundleKeys:
    return BundleKeys(
        HybridPrivate(
            X25519Private(given.hex("identity_x25519")), KemSeed(given.hex("identity_kem"))
        ),
        HybridPrivate(X25519Private(given.hex("prekey_x25519")), KemSeed(given.hex("prekey_kem"))),
    )


def _join(given: Input) -> Any:
    core, head = _core(given, Kind.JOIN)
    return rows(invite.open_join(core, head, _private(given), _lobby(given)))


def _joined(given: Input) -> Any:
    join = codec.decode(given.hex("encoded"), invite.Join, 2867)
    check_alias(join.alias)
    Bundle.parse(join.bundle)
    return rows(join)


def _intro(given: Input) -> dict[str, Any]:
    core, head = _core(given, Kind.INTRO)
    seen = intro.Envelope.read(core)
    setting = intro.Setting(
        ChannelId(given.hex("channel_id")),
        seen.roster,
        *(
            intro.Side(slot, roster.ROLES.index(given[role]))
            for slot, role in ((seen.a, "role_a"), (seen.b, "role_b"))
        ),
    )
    own, a = _private(given), HybridPublic.parse(given.hex("identity_a"))
    clock, key = ClockValue(given.hex("clock")), IntroKey(given.hex("intro_key"))
    found = intro.accept(core, head, setting, own, a, key, lambda _: clock)
    if (found.admission is not None) != given["lobby"]:
        msg = "an admission stands in lobbies, and there always"  # as reading and candidate say
        raise DecodeError(msg)
    return _session(found.keys) | {
        "ratchet": found.ratchet.pack(),
        "seeds": [found.seeds.generation, found.seeds.number, found.seeds.chain.expose()],
        "admission": found.admission
        and [found.admission.epoch, *(each.expose() for each in found.admission[1:])],
    }


def _admission_key(given: Input) -> bytes:
    secret = invite.invite_secret(given.hex("entropy"))
    return invite.admission_key(secret, OnceSecret(given.hex("once"))).expose()


def _admission(given: Input) -> dict[str, Any]:
    secret = invite.invite_secret(given.hex("entropy"))
    clock = invite.Lobby.of(secret, x25519_public(X25519Private(bytes(32)))).clock.expose()
    known = {"lobby": True, "clock": clock.hex(), "intro_key": _admission_key(given).hex()}
    return _intro(Input(given.given | known))


def _session(keys: intro.SessionKeys) -> dict[str, bytes]:
    return {
        "root": keys.root.expose(),
        "header_ba": keys.header_ba.expose(),
        "next_header_ab": keys.header_ab.expose(),
        "export_ab": keys.export_ab.expose(),
        "export_ba": keys.export_ba.expose(),
        "payload_secret": keys.payload.expose(),
    }


class _Conversation:
    """One side of a line, fed with the events of a vector."""

    def __init__(self, given: Input) -> None:
        side, hour = given.inner("side"), Hour(given["hour"])
        keys = intro.SessionKeys(
            RootKey(given.hex("root")),
            HeaderKey(given.hex("header_ba")),
            HeaderKey(given.hex("next_header_ab")),
            ExportKey(given.hex("export_ab")),
            ExportKey(given.hex("export_ba")),
            CoreSecret(bytes(32)),
        )
        self._clock = EpochClock(hour, ClockValue(given.hex("clock")))
        self._identity = KemSeed(side.hex("identity_kem"))
        self._peer = KemPublic(side.hex("peer_identity_kem"))
        if side["is"] == "A":
            kem = KemSeed(side.hex("ratchet_kem"))
            own = HybridPrivate(X25519Private(side.hex("ratchet_x25519")), kem)
            self._line = lines.begin(keys, own, hour)
        else:
            kem_public = KemPublic(side.hex("peer_kem"))
            peer = HybridPublic(X25519Public(side.hex("peer_x25519")), kem_public)
            self._line = lines.answer(keys, peer, hour)

    def send(self, event: Input) -> dict[str, Any]:
        names = ("ratchet_x25519", "ratchet_kem", "fresh")
        draws = [event.hex(name) for name in names if name in event]
        entropy = Replay(draws, event.many("encapsulations"))
        head = Head(Kind.LINE, Hour(event["hour"]), event.hex("salt"))
        body = event.hex("content")
        sent = lines.send(self._line, body, self._peer, self._clock, head, entropy)
        assert sent.core == event.hex("core")
        self._line = sent.line
        return {"step": sent.line.export_out.step, "export": sent.export.expose()}

    def spend(self) -> dict[str, Any]:
        self._line, wrap = lines.spend(self._line)
        return {"step": wrap.step, "use": wrap.use, "secret": wrap.secret.expose()}

    def key_block(self, event: Input) -> dict[str, Any]:
        core, head = _core(event, Kind.KEY)
        refusal: AuthenticationError | ReplayError = ReplayError("no such use")
        for mask in self._line.masks:
            reader, step, use, header = _wrapped(core, event["reader"], mask, self._clock)
            for following, key in lines.redeem(self._line, step, use):
                try:
                    found = sender_key.open_key_block(core, header, reader, key, self._clock, head)
                except AuthenticationError as error:
                    refusal = error
                else:
                    self._line = following
                    return _given(step, use, found)
        raise refusal

    def gave_way(self, event: Input) -> dict[str, Any]:
        export = ExportKey(event.hex("export_ab"))
        self._line = lines.beside(self._line, export, self._clock.hour)
        return {}

    def receive(self, event: Input) -> dict[str, Any]:
        core, head = _core(event, Kind.LINE)
        found = lines.open_(self._line, core, self._clock, head, self._identity)
        if found is None:
            msg = "a block of another line"
            raise AuthenticationError(msg)
        said = whisper.read_whisper(found.content)
        self._line = found.line
        return {
            "content": rows(said),
            "export": found.export.expose(),
            "step": found.step,
            "reply": found.reply,
        }


def _line(given: Input) -> Iterator[Any]:
    conversation = _Conversation(given)
    for event in map(Input, given["events"]):
        try:
            match event["does"]:
                case "send":
                    yield conversation.send(event)
                case "spend":
                    yield conversation.spend()
                case "key block":
                    yield conversation.key_block(event)
                case "gave way":
                    yield conversation.gave_way(event)
                case _:
                    yield conversation.receive(event)
        except RemoteProtocolError as refusal:
            yield refusal


def _line_header(given: Input) -> list[Any]:
    data = given.hex("header")
    if len(data) != 2344:
        msg = "a header has 2,344 bytes"  # by its place in a core
        raise DecodeError(msg)
    header = Header.parse(data)
    ratchet = [header.ratchet.x.value, header.ratchet.kem.value]
    return [*ratchet, header.fresh.value, header.ciphertext, header.previous, header.number]


def _group_header(given: Input) -> list[Any]:
    core, _ = _core(given, Kind.GROUP)
    header = sender_key.GroupHeader.read(core)
    hashes = [parent.hash for parent in header.parents]
    ages = [parent.age for parent in header.parents]
    return [*header[:4], hashes, ages]


def _epoch_core(given: Input) -> dict[str, Any]:
    core, head = _core(given, Kind.EPOCH)
    clock = ClockValue(given.hex("clock"))
    mask = MaskKey(given.hex("mask_key"))
    reader, step, use, header = _wrapped(core, given["reader"], mask, lambda _: clock)
    _, secret = _redeemed(_line_of(ExportKey(given.hex("export"))), Step(0), use)
    seed = epoch_core.open_epoch(core, header, reader, secret, lambda _: clock, head)
    begun = [each.expose() for each in epoch.begin(seed)]
    return {"step": step, "use": use, "secret": begun[0], "clock": begun[1]}


def _unattributed(given: Input) -> Any:
    core, head = _core(given, Kind.UNATTRIBUTED)
    secret, clock = EpochSecret(given.hex("epoch_secret")), ClockValue(given.hex("clock"))
    return rows(unattributed.open_unattributed(core, secret, lambda _: clock, head))


def _chunk(given: Input) -> bytes:
    core, head = _core(given, Kind.CHUNK)
    clock, key = ClockValue(given.hex("clock")), CoreSecret(given.hex("key"))
    return roster.open_piece(core, key, lambda _: clock, head)


def _file(given: Input) -> bytes:
    """As the shell puts it together, with all cores of one hour and epoch."""
    post, clock = content.read_content(given.hex("post")), ClockValue(given.hex("clock"))
    assert isinstance(post, content.File)
    here = {content_hash(Core(core)): Core(core) for core in given.many("cores")}
    nobody, name = MessageId(bytes(16)), ContentHash(bytes(32))
    names, key = tuple(map(ContentHash, post.index)), FileKey(post.key)
    offer = Offered(
        nobody, MAIN_THREAD, Slot(0), post.name, post.size, key, names, Hour(0), 0, name, Hour(1)
    )
    known = SimpleNamespace(epoch_of=lambda _: SimpleNamespace(id=b""))
    clocks = cast_any_as("Any", {b"": lambda _: clock})
    shelf = files.Shelf(cast_any_as("Any", known), clocks, here.get, Timestamp(0))
    try:
        return files.assemble(shelf, offer)
    except UnknownError as missing:  # it may still come
        raise DecodeError(str(missing)) from missing


def _group(given: Input) -> dict[str, Any]:
    core, head = _core(given, Kind.GROUP)
    header, clock = sender_key.GroupHeader.read(core), ClockValue(given.hex("clock"))
    chain = Chain(ChainKey(given.hex("chain_key")), given["at"])
    seed = MacSeed(given.hex("mac_seed"))
    held = sender_key.PeerGeneration(header.generation, seed, chain, head.hour)
    reader = Slot(given["reader"])
    opened = sender_key.open_post(held, header, core, reader, lambda _: clock, head)
    return {"content_hash": content_hash(core), "part": list(content.Part.parse(opened.part))}


def _leaf(given: Input) -> dict[str, bytes]:
    core, head = _core(given, Kind.GROUP)
    chain, clock = Chain(ChainKey(given.hex("chain_key"))), ClockValue(given.hex("clock"))
    number = sender_key.GroupHeader.read(core).number
    leaf = leaf_key(chain.take(number, limits.POSTS)[1], lambda _: clock, head)
    return {"leaf_key": leaf.expose(), "part": sender_key.read_part(core, leaf)}


def _transcript(given: Input) -> list[Any]:
    found = exhibit.read(given.hex("data"))
    return [
        found.channel,
        [[each.slot, each.alias, each.party, each.role] for each in found.members],
        [[e.author, e.hour, e.order, e.topic, e.text] for e in found.statements],
    ]


def _key_block(given: Input) -> dict[str, Any]:
    core, head = _core(given, Kind.KEY)
    clock = ClockValue(given.hex("clock"))
    mask = MaskKey(given.hex("mask_key"))
    reader, step, use, header = _wrapped(core, given["reader"], mask, lambda _: clock)
    _, secret = _redeemed(_line_of(ExportKey(given.hex("export"))), Step(0), use)
    found = sender_key.open_key_block(core, header, reader, secret, lambda _: clock, head)
    return _given(step, use, found)


def _wrapped(
    core: Core, slot: int, mask: MaskKey, clock: Clock
) -> tuple[Slot, Step, int, sender_key.KeyHeader]:
    header, reader = sender_key.KeyHeader.read(core), Slot(slot)
    if header.sender == reader:
        msg = "one's own words"  # as reading says
        raise DecodeError(msg)
    named = sender_key.wrapped(core, header.sender, reader, mask, clock, head_of(core))
    return (reader, *named, header)


def _given(step: Step, use: int, found: sender_key.PeerGeneration) -> dict[str, Any]:
    assert found.chain.key is not None
    keys = {"chain_key": found.chain.key.expose(), "mac_seed": found.mac.expose()}
    return {"step": step, "use": use} | keys


def _uses(given: Input) -> list[bytes]:
    line, secrets = _line_of(ExportKey(given.hex("export"))), []
    for use in given["uses"]:
        line, secret = _redeemed(line, Step(0), use)
        secrets.append(secret.expose())
    return secrets


def _line_of(export: ExportKey) -> lines.Line:
    """A line of which nothing is known but what its peer exports at step 0."""
    none, peer = bytes(32), cast.bundle("anna").identity
    header, other = HeaderKey(none), ExportKey(none)
    keys = intro.SessionKeys(RootKey(none), header, header, export, other, CoreSecret(none))
    return lines.answer(keys, peer, cast.HOUR)


def _redeemed(line: lines.Line, step: Step, use: int) -> tuple[lines.Line, MessageKey]:
    for found in lines.redeem(line, step, use):
        return found
    msg = "no such use"
    raise ReplayError(msg)


def _generation(given: Input) -> dict[str, bytes]:
    seed, use = ChainSeed(given.hex("chain_seed")), MessageKey(given.hex("use"))
    name = sender_key.generation_id(seed)
    return {
        "generation_id": name,
        "chain_key": sender_key.first_key(seed).expose(),
        "mac_seed": sender_key.mac_seed(use, name).expose(),
    }


def _message(given: Input) -> Any:
    parts = [content.Part.parse(part) for part in given.many("parts")]
    ordered = sorted(parts, key=lambda part: part.place)
    _check_whole(ordered)
    found = content.read_content(b"".join(part.piece for part in ordered))
    if isinstance(found, content.Announcement) and len(parts) > 1:
        msg = "an announcement is one part"  # as reading says
        raise DecodeError(msg)
    return rows(found)


def _check_whole(parts: list[content.Part]) -> None:
    """What reading keeps apart: parts of one message agree, and all are there."""
    agree = len({(part.id, part.total) for part in parts}) == 1
    if not agree or [part.place for part in parts] != list(range(parts[0].total)):
        msg = "not the parts of one message"
        raise DecodeError(msg)


def _note(given: Input) -> Any:
    """The pieces of a private note, as reading puts them together."""
    found = [whisper.read_whisper(piece) for piece in given.many("pieces")]
    notes = sorted(
        (each for each in found if isinstance(each, whisper.Note)), key=lambda each: each.place
    )
    agree = len({(each.id, each.total) for each in notes}) == 1 and len(notes) == len(found)
    if not agree or [each.place for each in notes] != list(range(notes[0].total)):
        msg = "not the pieces of one note"
        raise DecodeError(msg)
    return rows(whisper.read_note(b"".join(each.piece for each in notes)))


def _policy(given: Input) -> bytes:
    policy = codec.decode(given.hex("encoded"), roster.Policy, 100)
    policy.check()
    return content.policy_hash(policy)


def _partial_key(given: Input) -> bytes:
    clock = ClockValue(given.hex("clock"))
    name = ContentHash(given.hex("content_hash"))
    return pieces._key(lambda _: clock, name, Hour(0))


def _relay_keys(given: Input) -> list[bytes]:
    private, relay = X25519Private(given.hex("key")), X25519Public(given.hex("relay_key"))
    keys = DropKeys.of_client(DropId(given.hex("drop_id")), private, relay)
    return [keys.request.expose(), keys.answer.expose()]


_UNUSED = bytes(32)


def _request(given: Input) -> list[Any]:
    operation = Operation[given["operation"].upper()]
    request = Request.read(operation, given.hex("request"))
    request.verify(DropKeys(RequestKey(given.hex("request_key")), AnswerKey(_UNUSED)))
    if operation is Operation.CREATE:
        create = Create.read(request.payload)
        payload = [create.voucher, create.access.value, create.close.value, create.keep]
    else:
        payload = list(Read.read(request.payload))
    return [request.drop, request.hour, request.nonce, request.mac, payload]


def _answer(given: Input) -> bytes:
    mac = given.hex("request_mac")
    request = Request(Operation.READ, DropId(bytes(16)), Hour(0), bytes(16), mac, b"")
    keys = DropKeys(RequestKey(_UNUSED), AnswerKey(given.hex("answer_key")))
    return request.read_answer(given["status"], given.hex("answer"), keys)


def _voucher(given: Input) -> list[bytes]:
    voucher = read_voucher(given["text"])
    return [voucher, voucher_hash(voucher)]


def _place(given: Input) -> list[Any]:
    data = given.hex("place")
    if len(data) != expiry.PLACE:
        msg = "a place has 512 bytes"  # by its place in the file
        raise DecodeError(msg)
    place = Place.read(data)
    if place.kind is PlaceKind.EMPTY:
        return ["empty"]
    return [_KINDS[place.kind], *place[1:]]


def _item(given: Input) -> bytes:
    thread = given.hex("thread_key")
    key = expiry.item_key(
        StoreKey(given.hex("store_key")),
        ExpiryKey(given.hex("expiry_key")),
        ThreadKey(thread) if any(thread) else None,
    )
    return expiry.open_item(key, given.hex("item"), given.hex("associated"))


OPERATIONS: dict[str, vectors.Operation] = {
    "hash": lambda given: primitives.hash_(Label(given["label"]), given.hex("data")),
    "kdf": _kdf,
    "mac": _mac,
    "x25519 public": lambda given: x25519_public(X25519Private(given.hex("private"))).value,
    "dh": _dh,
    "kem public": _kem_public,
    "decapsulate": _decapsulate,
    "aead": lambda given: primitives.open_(
        given.hex("key"), given.hex("ciphertext"), given.hex("associated")
    ),
    "xaead": _xaead,
    "unpad": lambda given: primitives.unpad(given.hex("padded")),
    "epoch": _epoch,
    "epoch keys": _epoch_keys,
    "clock": lambda given: EpochClock(Hour(0), ClockValue(given.hex("clock")))(
        Hour(given["hours"])
    ).expose(),
    "commitment": _commitment,
    "drop": _drop,
    "block": _block,
    "content hash": _content_hash,
    "bundle": _bundle,
    "name": lambda given: _folded(check_alias(given["name"])),
    "roster": _roster,
    "package": _package,
    "roster piece": _roster_piece,
    "successor": _successor,
    "texts": _texts,
    "invite words": lambda given: words.invite_words(given.hex("entropy")),
    "typed words": lambda given: words.invite_entropy(given["text"]),
    "roster words": lambda given: words.spoken(
        roster.Roster.parse(given.hex("encoded")).spoken(), words.ROSTER
    ),
    "check words": _check_words,
    "invite": _invite,
    "admission key": _admission_key,
    "admission": _admission,
    "card piece": _card_piece,
    "card": lambda given: rows(invite.read_card(given.hex("encoded"))),
    "join": _join,
    "joined": _joined,
    "intro": _intro,
    "line": lambda given: list(_line(given)),
    "line header": _line_header,
    "group header": _group_header,
    "group": _group,
    "key block": _key_block,
    "leaf": _leaf,
    "transcript": _transcript,
    "uses": _uses,
    "mask key": lambda given: lines._mask(ExportKey(given.hex("export_ab"))).expose(),
    "generation": _generation,
    "content": lambda given: rows(content.read_content(given.hex("encoded"))),
    "part": lambda given: list(content.Part.parse(given.hex("part"))),
    "message": _message,
    "partial key": _partial_key,
    "line content": lambda given: rows(whisper.read_whisper(given.hex("encoded"))),
    "note": _note,
    "policy": _policy,
    "carried": lambda given: content.carried_words(given["text"]),
    "unattributed": _unattributed,
    "chunk": _chunk,
    "file": _file,
    "epoch core": _epoch_core,
    "relay keys": _relay_keys,
    "request": _request,
    "answer": _answer,
    "page": lambda given: _read_page(given.hex("payload")),
    "appended": lambda given: [
        row[:2] for row in read_stored(given.hex("payload"), given["count"])
    ],
    "voucher": _voucher,
    "place": _place,
    "expiry file": lambda given: ExpiryKeys(given.hex("data")).highest,
    "item": _item,
}


def _read_page(payload: bytes) -> list[Any]:
    page = Page.read(payload)
    return [page.following, page.more, [list(row) for row in page.rows]]
