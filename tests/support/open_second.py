"""Each operation of the test vectors by the second reader: SPEC.md as somebody else read it."""

from collections.abc import Iterator
from typing import Any

from tests.support.second_reader import (
    content,
    drops,
    epoch,
    exhibits,
    expiry,
    identity,
    intro,
    line,
    lobby,
    primitives,
    ratchet,
    relay,
    roster,
    sender_keys,
    uses,
    words,
)
from tests.support.second_reader.ratchet import State
from tests.support.second_reader.refused import Refused
from tests.support.vectors import Input, Operation, rows


def _kdf(given: Input) -> bytes:
    secret, salt, context = given.hex("secret"), given.hex("salt"), given.hex("context")
    return primitives.kdf(secret, salt, given["label"], context, given["size"])


def _kem_public(given: Input) -> None:
    primitives.check_kem(given.hex("public"))


def _unpad(given: Input) -> bytes:
    padded = given.hex("padded")
    return primitives.unpad(padded, len(padded))


def _xaead(given: Input) -> bytes:
    key, nonce = given.hex("key"), given.hex("nonce")
    return primitives.xaead_open(key, nonce, given.hex("associated"), given.hex("ciphertext"))


def _drop(given: Input) -> dict[str, bytes]:
    keys = drops.channel_drop(given.hex("epoch_secret"), given.hex("relay_key"))
    close = drops.close_key(given.hex("facilitators_secret"), keys["drop_id"])
    wanted = ("drop_id", "access_key", "access_public", "outer_secret")
    return {name: keys[name] for name in wanted} | {"close_key": close}


def _block(given: Input) -> dict[str, bytes]:
    first, value = given["first"], given.hex("clock")
    clocks = {hour: epoch.clock_at(value, first, hour) for hour in range(first, given["last"] + 1)}
    core = drops.open_block(given.hex("block"), given.hex("outer_secret"), clocks)
    return {"core": core, "content_hash": drops.content_hash(core)}


def _bundle(given: Input) -> dict[str, bytes]:
    bundle = given.hex("bundle")
    identity.read_bundle(bundle)
    return {
        "identity_hash": identity.identity_hash(bundle),
        "prekey_id": identity.prekey_id(bundle),
    }


def _name(given: Input) -> str:
    identity.check_name(given["name"])
    return identity.likeness(given["name"])


def _roster(given: Input) -> dict[str, Any]:
    encoded = given.hex("encoded")
    found = roster.decode_roster(encoded)
    return {"hash": roster.roster_hash(encoded), "fields": rows(found)}


def _package(given: Input) -> dict[str, Any]:
    package = roster.read_package(given.hex("package"))
    return {"hash": package["hash"], "prekeys": [identity.prekey_id(b) for b in package["bundles"]]}


def _roster_piece(given: Input) -> bytes:
    return roster.open_piece(given.hex("core"), given.hex("clock"), given.hex("roster_secret"))


def _successor(given: Input) -> None:
    current, new = given.hex("current"), given.hex("new")
    known = {name: given[name] for name in ("epoch_core", "gone", "agreed", "now")}
    known |= {name: given.hex(name) for name in ("epoch_secret", "clock")}
    known["sender"] = roster.decode_roster(new)["issuer"]
    roster.check_successor(current, new, known)


def _texts(given: Input) -> dict[str, bytes]:
    return {
        "charter": roster.charter_hash(given["charter"]),
        "disclosure": roster.disclosure_hash(given.hex("disclosure")),
    }


def _roster_words(given: Input) -> list[str]:
    found = roster.decode_roster(given.hex("encoded"))
    return words.roster_words(found["channel_id"], found["entries"])


def _check_words(given: Input) -> list[str]:
    facilitator = given.inner("facilitator")
    newcomer = given.inner("newcomer")
    return words.check_words(
        given.hex("channel_id"),
        (facilitator["slot"], facilitator["alias"], facilitator.hex("identity_hash")),
        (newcomer["alias"], newcomer.hex("identity_hash")),
    )


def _invite(given: Input) -> dict[str, bytes]:
    keys = lobby.invite_keys(given.hex("entropy"), given.hex("relay_key"))
    wanted = ("lobby_clock", "card_secret", "drop_id", "access_key", "outer_secret")
    return {name: keys[name] for name in wanted}


def _card_piece(given: Input) -> list[Any]:
    keys = lobby.invite_keys(given.hex("entropy"), given.hex("relay_key"))
    core = given.hex("core")
    return list(lobby.open_card_piece(core, keys["lobby_clock"], keys["card_secret"]))


def _join(given: Input) -> Any:
    keys = lobby.invite_keys(given.hex("entropy"), given.hex("relay_key"))
    private = {name: given.hex(name) for name in PRIVATE}
    bundle = given.hex("bundle")
    secrets = (keys["lobby_clock"], keys["card_secret"])
    return rows(lobby.open_join(given.hex("core"), *secrets, bundle, private))


PRIVATE = ("identity_x25519", "identity_kem", "prekey_x25519", "prekey_kem")


def _intro(given: Input) -> dict[str, Any]:
    context = {name: given[name] for name in ("role_a", "role_b", "lobby")}
    context |= {name: given.hex(name) for name in ("channel_id", "identity_a", "bundle_b")}
    private = {name: given.hex(name) for name in PRIVATE}
    clock, key = given.hex("clock"), given.hex("intro_key")
    found = intro.open_intro(given.hex("core"), clock, key, context, private)
    keys: dict[str, Any] = found["keys"]
    payload = found["payload"]
    admission = payload["admission"]
    return keys | {
        "ratchet": payload["ratchet_x25519"] + payload["ratchet_kem"],
        "seeds": rows(payload["seeds"]),
        "admission": admission and rows(admission),
    }


def _admission_key(given: Input) -> bytes:
    keys = lobby.invite_keys(given.hex("entropy"), bytes(32))
    return lobby.admission_key(keys["invite_secret"], given.hex("once"))


def _admission(given: Input) -> dict[str, Any]:
    clock = lobby.invite_keys(given.hex("entropy"), bytes(32))["lobby_clock"]
    known = {"lobby": True, "clock": clock.hex(), "intro_key": _admission_key(given).hex()}
    return _intro(Input(given.given | known))


def _line(given: Input) -> Iterator[Any]:
    side = given.inner("side")
    names = ("root", "header_ba", "next_header_ab", "export_ab", "export_ba")
    keys = {name: given.hex(name) for name in names}
    if side["is"] == "A":
        own = {"x25519": side.hex("ratchet_x25519"), "kem": side.hex("ratchet_kem")}
        state = ratchet.start_a(keys, own, side.hex("identity_kem"))
    else:
        state = ratchet.start_b(keys, side.hex("peer_x25519"))
    for event in map(Input, given["events"]):
        try:
            state, found = _event(state, event, given)
        except Refused as refusal:
            yield refusal
        else:
            yield found


def _event(state: State, event: Input, given: Input) -> tuple[State, dict[str, Any]]:
    if event["does"] == "send":
        return _send(state, event)
    if event["does"] == "spend":
        return line.spend_use(state)
    if event["does"] == "gave way":
        return ratchet.gave_way(state, event.hex("export_ab")), {}
    core = event.hex("core")
    epoch.check_hour(epoch.core_hour(core), given["hour"] + 24, 24)
    clock = epoch.clock_at(given.hex("clock"), given["hour"], epoch.core_hour(core))
    if event["does"] == "key block":
        state, keys = line.open_key(core, clock, state, event["reader"])
        return state, {name: keys[name] for name in OPENED}
    state, block = line.open_line(core, clock, state)
    return state, {name: rows(block[name]) for name in ("content", "export", "step", "reply")}


def _send(state: State, event: Input) -> tuple[State, dict[str, Any]]:
    names = ("ratchet_x25519", "ratchet_kem", "fresh")
    made = {name: event.hex(name) for name in names if name in event}
    secret, _, reply_secret, _ = [*event.many("encapsulations"), b"", b""][:4]
    return line.note_sent(state, made | {"secret": secret, "reply_secret": reply_secret})


def _line_header(given: Input) -> list[Any]:
    return list(line.read_header(given.hex("header")).values())


def _group_header(given: Input) -> list[Any]:
    header = sender_keys.read_group(given.hex("core"))
    return list(header.values())


def _group(given: Input) -> dict[str, Any]:
    chain = (given.hex("chain_key"), given["at"])
    core, seed = given.hex("core"), given.hex("mac_seed")
    found = sender_keys.open_group(core, given.hex("clock"), chain, seed, given["reader"])
    return {"content_hash": found["content_hash"], "part": list(found["part"].values())}


def _leaf(given: Input) -> dict[str, bytes]:
    core = given.hex("core")
    secret = sender_keys.message_key(given.hex("chain_key"), 0, core[38])
    leaf = exhibits.leaf_key(core, secret, given.hex("clock"))
    return {"leaf_key": leaf, "part": exhibits.open_with_leaf(core, leaf)}


def _transcript(given: Input) -> list[Any]:
    found = exhibits.read_transcript(given.hex("data"))
    said = ("author", "hour", "order", "topic", "text")
    return [
        found["channel"],
        [list(each.values()) for each in found["members"]],
        [[each[name] for name in said] for each in found["messages"]],
    ]


def _key_block(given: Input) -> dict[str, Any]:
    core, reader = given.hex("core"), given["reader"]
    mask_key, clock = given.hex("mask_key"), given.hex("clock")
    named = sender_keys.read_key_core(core, reader) | sender_keys.unmask(
        core, clock, mask_key, reader
    )
    _, secret = uses.take(uses.new_export(named["step"], given.hex("export")), named["use"])
    found = named | sender_keys.open_key_core(core, clock, secret, reader)
    return {name: found[name] for name in OPENED}


OPENED = ("step", "use", "chain_key", "mac_seed")


def _epoch_core(given: Input) -> dict[str, Any]:
    core, reader = given.hex("core"), given["reader"]
    mask_key, clock = given.hex("mask_key"), given.hex("clock")
    named = sender_keys.read_epoch_core(core, reader) | sender_keys.unmask(
        core, clock, mask_key, reader
    )
    _, secret = uses.take(uses.new_export(named["step"], given.hex("export")), named["use"])
    found = named | sender_keys.open_epoch_core(core, clock, secret, reader)
    return {name: found[name] for name in ("step", "use", "secret", "clock")}


def _unattributed(given: Input) -> Any:
    secret = epoch.epoch_keys(given.hex("epoch_secret"))["unattributed_secret"]
    return rows(content.open_unattributed(given.hex("core"), given.hex("clock"), secret))


def _file(given: Input) -> bytes:
    post = content.decode_content(given.hex("post"))
    return content.join_file(post, given.many("cores"), given.hex("clock"))


def _uses(given: Input) -> list[bytes]:
    export, secrets = uses.new_export(0, given.hex("export")), []
    for use in given["uses"]:
        export, secret = uses.take(export, use)
        secrets.append(secret)
    return secrets


def _generation(given: Input) -> dict[str, bytes]:
    found = sender_keys.generation(given.hex("chain_seed"))
    use = given.hex("use")
    return found | {"mac_seed": sender_keys.mac_seed(use, found["generation_id"])}


def _part(given: Input) -> list[Any]:
    return list(content.read_part(given.hex("part")).values())


def _message(given: Input) -> Any:
    return rows(content.join_parts([content.read_part(part) for part in given.many("parts")]))


def _line_content(given: Input) -> Any:
    return rows(line.decode_content(given.hex("encoded")))


def _note(given: Input) -> Any:
    return rows(line.join_note([line.decode_content(piece) for piece in given.many("pieces")]))


def _relay_keys(given: Input) -> list[bytes]:
    private = given.hex("key")
    public = primitives.x25519_public(private)
    return list(relay.relay_keys(private, public, given.hex("relay_key"), given.hex("drop_id")))


def _request(given: Input) -> list[Any]:
    key, request = given.hex("request_key"), given.hex("request")
    found = relay.check_request(key, given["operation"], request)
    payload = found.pop("payload")
    order = {"create": ("voucher", "access_public", "close_public", "class")}
    names = order.get(given["operation"], tuple(payload))
    return [*list(found.values()), [payload[name] for name in names]]


def _answer(given: Input) -> bytes:
    key, mac = given.hex("answer_key"), given.hex("request_mac")
    return relay.check_answer(key, mac, given["status"], given.hex("answer"))


def _page(given: Input) -> list[Any]:
    page = relay.read_page(given.hex("payload"), 1, 0, relay.MOST_BLOCKS)
    return list(page.values())


def _voucher(given: Input) -> list[bytes]:
    voucher = relay.read_voucher(given["text"])
    return [voucher, relay.voucher_hash(voucher)]


def _place(given: Input) -> list[Any]:
    place = expiry.read_place(given.hex("place"))
    if place["kind"] == "empty":
        return ["empty"]
    return [place[name] for name in ("kind", "name", "hour", "extra", "value")]


def _item(given: Input) -> bytes:
    keys = [given.hex(name) for name in ("store_key", "expiry_key", "thread_key")]
    key = expiry.item_key(*keys)
    return expiry.open_item(key, given.hex("associated"), given.hex("item"))


OPERATIONS: dict[str, Operation] = {
    "hash": lambda given: primitives.label_hash(given["label"], given.hex("data")),
    "kdf": _kdf,
    "mac": lambda given: primitives.mac(given.hex("key"), given["label"], given.hex("data")),
    "x25519 public": lambda given: primitives.x25519_public(given.hex("private")),
    "dh": lambda given: primitives.dh(given.hex("private"), given.hex("public")),
    "kem public": _kem_public,
    "decapsulate": lambda given: primitives.kem_open(given.hex("seed"), given.hex("ciphertext")),
    "aead": lambda given: primitives.aead_open(
        given.hex("key"), given.hex("associated"), given.hex("ciphertext")
    ),
    "xaead": _xaead,
    "unpad": _unpad,
    "epoch": lambda given: epoch.epoch_start(given.hex("seed")),
    "epoch keys": lambda given: epoch.epoch_keys(given.hex("secret")),
    "clock": lambda given: epoch.clock_at(given.hex("clock"), 0, given["hours"]),
    "commitment": lambda given: epoch.epoch_commitment(
        given.hex("secret"), given["hour"], given.hex("clock")
    ),
    "drop": _drop,
    "block": _block,
    "content hash": lambda given: drops.content_hash(given.hex("core")),
    "bundle": _bundle,
    "name": _name,
    "roster": _roster,
    "package": _package,
    "roster piece": _roster_piece,
    "successor": _successor,
    "texts": _texts,
    "invite words": lambda given: words.invite_words(given.hex("entropy")),
    "typed words": lambda given: words.invite_entropy(words.typed(given["text"])),
    "roster words": _roster_words,
    "check words": _check_words,
    "invite": _invite,
    "admission key": _admission_key,
    "admission": _admission,
    "card piece": _card_piece,
    "card": lambda given: rows(lobby.decode_card(given.hex("encoded"))),
    "join": _join,
    "joined": lambda given: rows(lobby.decode_join(given.hex("encoded"))),
    "intro": _intro,
    "line": lambda given: list(_line(given)),
    "line header": _line_header,
    "group header": _group_header,
    "group": _group,
    "key block": _key_block,
    "leaf": _leaf,
    "transcript": _transcript,
    "uses": _uses,
    "mask key": lambda given: ratchet.mask_key(given.hex("export_ab")),
    "generation": _generation,
    "content": lambda given: rows(content.decode_content(given.hex("encoded"))),
    "part": _part,
    "message": _message,
    "partial key": lambda given: content.partial_key(given.hex("clock"), given.hex("content_hash")),
    "line content": _line_content,
    "note": _note,
    "policy": lambda given: roster.policy_hash(given.hex("encoded")),
    "carried": lambda given: primitives.label_hash("carry", given["text"].encode()),
    "unattributed": _unattributed,
    "chunk": lambda given: content.open_chunk(
        given.hex("core"), given.hex("clock"), given.hex("key")
    ),
    "file": _file,
    "epoch core": _epoch_core,
    "relay keys": _relay_keys,
    "request": _request,
    "answer": _answer,
    "page": _page,
    "appended": lambda given: relay.read_appended(given.hex("payload"), given["count"]),
    "voucher": _voucher,
    "place": _place,
    "expiry file": lambda given: expiry.read_file(given.hex("data"))["highest"],
    "item": _item,
}
