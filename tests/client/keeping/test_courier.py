"""Files of blocks that are carried by hand: what is taken, what is passed over, and how much is
tried at most.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backchannel.client.errors import UsageMistake
from backchannel.client.keeping import courier, tape
from backchannel.client.keeping.courier import Taken
from backchannel.client.keeping.files import write_parts
from backchannel.client.keeping.tape import Search, Tape
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol import courier as blocks
from backchannel.protocol.courier import Finder, Found, Key
from backchannel.protocol.limits import BLOCK
from backchannel.protocol.types import Hour
from tests.support.clients import NAME, Client, Party, party
from tests.support.people import ENTROPY, PASSPHRASE

SAID = 12
Twin = Callable[[str], Client]


@pytest.fixture(scope="module")
def north() -> Iterator[Party]:
    """Fox has said much that Heron and Ibis did not read, for the relay is gone."""
    with party("Heron", "Ibis") as made:
        made.relay.kill()
        for number in range(SAID):
            made.clients["Fox"].say(f"number {number}")
        yield made


@pytest.fixture
def twin(north: Party, tmp_path: Path) -> Iterator[Twin]:
    """Somebody as they were when the relay went."""
    opened: list[Vault] = []

    def make(alias: str) -> Client:
        client = north.clients[alias]
        home = tmp_path / f"{alias}-{len(opened)}"
        shutil.copytree(north.folder / alias.lower(), home)
        profile, now = Profile.at(home), north.hours.now()
        opened.append(Vault(profile, Vault.key(profile, PASSPHRASE, now, ENTROPY), now))
        return Client(alias, client.tools, opened[-1])

    yield make
    for vault in opened:
        vault.close()


def packed(client: Client, since: int = 0) -> bytes:
    what = courier.load(client.app, client.vault, NAME, Hour(since))
    return b"".join(courier.blocks(client.app, client.vault, what))


def take(client: Client, folder: Path, *parts: bytes) -> Taken:
    paths = [folder / f"part.{number}" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    with Tape(paths) as stream:
        return courier.take(client.app, client.vault, stream, lambda *_: None)


def texts(client: Client) -> list[str]:
    found = [json.loads(plain) for plain in client.plain()]
    return [each["text"] for each in found if each["kind"] == "text"]


ALL = [f"number {number}" for number in range(SAID)]


def test_row_a018_what_is_carried_is_taken_once_and_only_once(
    north: Party, twin: Twin, tmp_path: Path
) -> None:
    file, heron = packed(north.clients["Fox"]), twin("Heron")
    taken = take(heron, tmp_path, file)
    assert taken.messages == SAID
    assert (taken.over, taken.channels) == (0, (NAME,))
    assert texts(heron) == ALL
    again = take(heron, tmp_path, file, file)
    assert again == Taken(0, 2 * len(file) // BLOCK, 0, 0, ())
    assert texts(heron) == ALL
    assert len(heron.row.summary["unread"]) == SAID


def test_what_came_by_hand_goes_on_by_hand(north: Party, twin: Twin, tmp_path: Path) -> None:
    heron, ibis = twin("Heron"), twin("Ibis")
    take(heron, tmp_path, packed(north.clients["Fox"]))
    heron.say("and I say")
    take(ibis, tmp_path, packed(heron))
    assert sorted(texts(ibis)) == sorted([*ALL, "and I say"])


def test_what_others_answered_is_not_counted_as_with_no_relay(
    north: Party, twin: Twin, tmp_path: Path
) -> None:
    fox, heron = twin("Fox"), twin("Heron")
    take(heron, tmp_path, packed(fox))
    heron.say("and I say")
    assert len(fox.vault.outbox.queued(fox.row.id)) == SAID
    take(fox, tmp_path, packed(heron))
    assert fox.vault.outbox.queued(fox.row.id) == set()


def test_parts_in_any_order_are_one_file(north: Party, twin: Twin, tmp_path: Path) -> None:
    file, heron = packed(north.clients["Fox"]), twin("Heron")
    cuts = [0, 1000, 9000, 9001, 3 * BLOCK, len(file) - 5000, len(file)]
    parts = [file[a:b] for a, b in itertools.pairwise(cuts)]
    assert take(heron, tmp_path, *parts).over == 0
    assert texts(heron) == ALL
    heron, each = twin("Heron"), [file[at : at + BLOCK] for at in range(0, len(file), BLOCK)]
    assert take(heron, tmp_path, *reversed(each)).over == 0
    assert texts(heron) == ALL


def blocks_of(file: bytes) -> int:
    return len(file) // BLOCK


@pytest.mark.parametrize(
    ("spoil", "lost"),
    [
        (lambda file: file[1:], 1),
        (lambda file: file[BLOCK + 100 :], 2),
        (lambda file: file[:-1], 1),
        (lambda file: file[: 5 * BLOCK + 7] + file[6 * BLOCK + 99 :], 2),
        (lambda file: file[: 5 * BLOCK] + b"more" + file[5 * BLOCK :], 0),
        (lambda file: os.urandom(9000) + file, 0),
        (lambda file: file + os.urandom(9000), 0),
        (lambda file: file[100:-100], 2),
    ],
)
def test_after_a_cut_that_is_no_blocks_edge_it_goes_on(
    north: Party, twin: Twin, tmp_path: Path, spoil: Callable[[bytes], bytes], lost: int
) -> None:
    file, heron = packed(north.clients["Fox"]), twin("Heron")
    before = take(twin("Heron"), tmp_path, file)
    taken = take(heron, tmp_path, spoil(file))
    assert taken.new + taken.known == before.new + before.known - lost


def test_a_part_that_is_missing_takes_no_other_with_it(
    north: Party, twin: Twin, tmp_path: Path
) -> None:
    file, heron = packed(north.clients["Fox"]), twin("Heron")
    parts = [file[at : at + 10_000] for at in range(0, len(file), 10_000)]
    taken = take(heron, tmp_path, *parts[:2], *parts[3:])
    assert taken.new + taken.known >= blocks_of(file) - 4


def test_attack_a_damaged_block_costs_that_block_alone_wherever_it_is_damaged(
    north: Party, twin: Twin, tmp_path: Path
) -> None:
    """Every byte of a block, and of every block one byte."""
    fox, heron = north.clients["Fox"], twin("Heron")
    file, look = packed(fox), heron.look()
    finder = Finder(look.channel, look.now)
    block = file[-BLOCK:]
    hit = finder.find(block, None)
    assert hit is not None
    near = list(finder.near(hit.arrival))
    for at in range(BLOCK):
        spoiled = block[:at] + bytes([block[at] ^ 1 << at % 8]) + block[at + 1 :]
        assert not any(blocks.opened(spoiled, key) for key in near)
    every = bytearray(file)
    for at in range(0, len(file), BLOCK):
        every[at + 17] ^= 1
    assert take(heron, tmp_path, bytes(every)) == Taken(0, 0, blocks_of(file), 0, ())
    assert texts(heron) == []


def test_attack_the_blocks_of_another_channel_are_nobodys(
    north: Party, twin: Twin, tmp_path: Path
) -> None:
    """Nor does it matter what stands around one's own."""
    file, heron = packed(north.clients["Fox"]), twin("Heron")
    with party() as south:
        south.clients["Fox"].say("elsewhere")
        other = packed(south.clients["Fox"])
        taken = take(heron, tmp_path, other, file, other)
    assert taken.over == 2 * blocks_of(other)
    assert texts(heron) == ALL


def test_attack_who_was_removed_reads_nothing_that_is_carried_later_and_gives_nothing(
    tmp_path: Path,
) -> None:
    with party("Heron", "Ibis") as north:
        fox, heron, ibis = (north.clients[each] for each in ("Fox", "Heron", "Ibis"))
        fox.act(commands.Remove("Ibis"))
        ibis.say("I was still here")
        north.settle("Fox", "Heron")
        north.relay.kill()
        fox.say("without you")
        ibis.say("I am still here")
        take(ibis, tmp_path, packed(fox))
        assert "without you" not in texts(ibis)
        take(heron, tmp_path, packed(ibis))
        assert "I am still here" not in texts(heron)
        assert take(heron, tmp_path, packed(fox)).messages == 1


def gone_through(
    path: Path, finders: dict[str, Finder], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, int]:
    """How many keys were tried, and how many blocks opened."""
    tried = found = 0
    opened = blocks.opened

    def counted(block: bytes, key: Key) -> Found | None:
        nonlocal tried
        tried += 1
        return opened(block, key)

    monkeypatch.setattr(blocks, "opened", counted)
    with Tape([path]) as stream:
        search = Search(stream, finders)
        while not search.over:
            if search.here() is not None:
                found += 1
                search.go_on()
            else:
                search.pass_over()
    return tried, found


def test_attack_garbage_neither_hangs_nor_fills_memory(
    north: Party, twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is tried in vain is bounded; blocks of one's own behind it are found all the same."""
    monkeypatch.setattr(tape, "PATIENCE", 20_000)
    file, look = packed(north.clients["Fox"]), twin("Heron").look()
    finder = Finder(look.channel, look.now)
    finders = {str(number): finder for number in range(100)}
    keys = len(finders) * len(list(finder.every()))
    noise = hashlib.shake_128(b"noise").digest(400 * BLOCK)
    path = tmp_path / "noise"
    path.write_bytes(noise + file + noise)
    tried, found = gone_through(path, finders, monkeypatch)
    assert found == blocks_of(file)
    assert tried < 5 * 20_000 < 2 * 400 * keys


def test_attack_146_a_file_with_a_hole_of_ten_terabytes_is_gone_through_too(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes no room on the stick."""
    monkeypatch.setattr(tape, "PATIENCE", 20_000)
    look, path = twin("Heron").look(), tmp_path / "hole"
    path.touch()
    os.truncate(path, 10**13)
    finder = Finder(look.channel, look.now)
    tried, found = gone_through(path, {"North": finder}, monkeypatch)
    assert found == 0
    assert tried < 14 * 20_000


def test_attack_true_blocks_scattered_in_noise_buy_no_more_searching(
    north: Party, twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape, "PATIENCE", 10_000)
    monkeypatch.setattr(tape, "_REGAINED", 100)
    file, look = packed(north.clients["Fox"]), twin("Heron").look()
    noise = hashlib.shake_128(b"noise").digest(7 * BLOCK)
    path = tmp_path / "scattered"
    path.write_bytes(b"".join(file[:BLOCK] + noise for _ in range(200)))
    finders = {str(number): Finder(look.channel, look.now) for number in range(100)}
    tried, found = gone_through(path, finders, monkeypatch)
    assert found
    assert tried < 100_000 < 200 * 7 * 200


def test_a_file_of_the_wrong_sort_is_refused_at_once(
    north: Party, twin: Twin, tmp_path: Path
) -> None:
    """A pipe that nobody writes to would be waited for, for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("pipe", "folder", "nowhere", "missing"):
        with pytest.raises(UsageMistake, match="Nothing was taken"):
            Tape([tmp_path / name])
    file, heron = packed(north.clients["Fox"]), twin("Heron")
    (tmp_path / "file").write_bytes(file)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with Tape([tmp_path / "link"]) as stream:
        assert courier.take(heron.app, heron.vault, stream, lambda *_: None).messages == SAID


def test_an_empty_file_and_less_than_a_block_are_nothing(twin: Twin, tmp_path: Path) -> None:
    heron = twin("Heron")
    assert take(heron, tmp_path, b"") == Taken(0, 0, 0, 0, ())
    assert take(heron, tmp_path, b"", b"x" * (BLOCK - 1), b"") == Taken(0, 0, 1, 0, ())


def test_only_what_is_younger_is_packed(north: Party) -> None:
    fox = north.clients["Fox"]
    hour = fox.look().hour
    assert packed(fox, hour + 1) == b""
    assert len(packed(fox, hour - 1)) == len(packed(fox))


def test_attack_what_stands_at_a_links_end_is_not_overwritten(tmp_path: Path) -> None:
    target, link = tmp_path / "mine", tmp_path / "link"
    target.write_bytes(b"mine")
    link.symlink_to(target)
    with pytest.raises(UsageMistake):
        write_parts(link, [b"new"], "another")
    assert write_parts(link, [b"new", b"er"], "another", force=True) == 5
    assert (target.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"mine", b"newer", False)
    assert link.stat().st_mode & 0o777 == 0o600
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(UsageMistake):
            write_parts(tmp_path / name, [b"new"], "another", force=True)


def test_no_half_file_is_left_where_packing_ends_early(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parts(tmp_path / "file", parts(), "another")
    assert not list(tmp_path.iterdir())
