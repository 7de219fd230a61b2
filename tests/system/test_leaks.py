"""The leak hunt: in everything that a relay, its machine, the wire or a participant's disk shows of
a whole dialogue, nothing that was said, named or used as a key. Each search has its control.

What Python cannot promise is measured, printed with -s, and told in THREATS.md.
"""

import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from backchannel.protocol.drop import read_voucher
from tests.support.canaries import Found, Hunt, slices, told
from tests.support.leaky import NAMES, PLANTED, SAID, Play, play
from tests.support.memory import Region, core_of
from tests.support.person import PASSPHRASE

pytestmark = [pytest.mark.system, pytest.mark.slow]

VAULT = {"vault.head", "vault.db", "expiry.keys", "spare.db", "spare.keys"}
VAULT_KEY = re.compile("(vault|database|store) key")
_NEVER_ASKED_FOR = "this machine lets nobody look"


@pytest.fixture(scope="module")
def played() -> Iterator[Play]:
    with play() as acted:
        yield acted


@pytest.fixture(scope="module")
def hunt(played: Play) -> Hunt:
    return Hunt(secrets(played) | played.keyring.on_disk | NAMES)


def secrets(played: Play) -> dict[str, str | bytes]:
    """What nobody but members may learn, and what only one of them may."""
    said = {f"{name} (part)": text[:40] for name, text in SAID.items()}
    file = slices("the file", played.file)
    return {**SAID, **said, **file, **played.words, **played.keyring.keys, "passphrase": PASSPHRASE}


def vouchers(played: Play) -> Hunt:
    raw = {f"{name}, raw": read_voucher(text) for name, text in played.vouchers.items()}
    return Hunt({**played.vouchers, **raw})


def planted() -> Hunt:
    return Hunt({"planted": PLANTED})


def places(regions: list[Region]) -> dict[str, bytes]:
    return {f"{number} {each.name}": each.data for number, each in enumerate(regions)}


def core(played: Play, process: str) -> list[Region]:
    if process not in played.cores:
        pytest.skip(_NEVER_ASKED_FOR)
    return played.cores[process]


def where(found: list[Found]) -> set[str]:
    return {each.place for each in found}


# The relay.


def test_the_hunt_knows_what_it_looks_for(played: Play, hunt: Hunt) -> None:
    assert len(played.keyring.keys) > 200
    kinds = {name.split(": ")[1].split(" ")[0] for name in played.keyring.keys}
    assert {"EpochSecret", "KemSeed", "ChainKey", "X25519Private", "access", "outer"} <= kinds
    assert hunt.count > 5000


def test_no_file_of_the_relay_holds_a_word_a_name_or_a_key(played: Play, hunt: Hunt) -> None:
    assert {"relay.db", "relay.db-wal", "relay.toml", "log", "expiry.keys"} <= {*played.relay_files}
    assert sum(map(len, played.relay_files.values())) > 500_000
    assert told(hunt.search(played.relay_files)) == []
    assert told(vouchers(played).search(played.relay_files)) == []
    assert told(planted().search(played.relay_files)) == []


def test_the_memory_of_the_live_relay_holds_no_word_no_name_and_no_key(
    played: Play, hunt: Hunt
) -> None:
    regions = core(played, "relay")
    assert sum(len(each.data) for each in regions) > 20_000_000
    assert told(hunt.search(places(regions))) == []
    print("relay: copies of vouchers:", sum_of(vouchers(played), regions))  # noqa: T201 - measured


def test_the_wire_carries_no_word_no_name_and_no_key(played: Play, hunt: Hunt) -> None:
    tapped = played.tap.everything()
    assert sum(map(len, tapped.values())) > 1_000_000
    assert told(hunt.search(tapped)) == []
    assert planted().search(tapped)
    assert vouchers(played).search(tapped)  # they pay: with plain http they are seen


def test_the_packets_on_loopback_carry_none_either(played: Play, hunt: Hunt) -> None:
    if played.packets is None:
        pytest.skip(_NEVER_ASKED_FOR)
    assert sum(map(len, played.packets.values())) > 1_000_000
    assert told(hunt.search(played.packets)) == []
    assert planted().search(played.packets)


def test_a_word_on_the_relays_disk_would_be_found(played: Play) -> None:
    """In a table, on a page that was freed, and in the log."""
    with closing(sqlite3.connect(played.relay.data / "relay.db")) as database:
        database.execute("PRAGMA secure_delete = OFF")
        for name in ("kept", "freed"):
            database.execute(f"CREATE TABLE {name} (text)")
            database.execute(f"INSERT INTO {name} VALUES (?)", (f"{name} {PLANTED}",))  # noqa: S608 - ours
        database.commit()
        database.execute("DROP TABLE freed")
        database.commit()
    found = Hunt({name: f"{name} {PLANTED}" for name in ("kept", "freed")}).search(
        played.of_relay()
    )
    assert {each.name for each in found} == {"kept", "freed"}
    with played.relay.log.open("a") as log:
        log.write(PLANTED)
    assert "log" in where(planted().search(played.of_relay()))


def test_a_word_in_the_relays_memory_would_be_found(played: Play) -> None:
    """Half a request: its body waits for its end."""
    core(played, "relay")
    assert played.relay.process is not None
    address = urlsplit(played.relay.url)
    with socket.create_connection((address.hostname, address.port or 0)) as asking:
        asking.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\n")
        asking.sendall(PLANTED.encode())
        for _ in range(100):
            if planted().search(places(core_of(played.relay.process.pid))):
                return
    pytest.fail("the search does not find what is there")


# Participants' machines.


@pytest.mark.parametrize("name", ["Fox", "Heron", "Ibis", "Wren"])
def test_no_file_of_a_participant_holds_a_word_a_name_or_a_secret(played: Play, name: str) -> None:
    files = played.of_person(name)
    assert {path.rpartition("/")[2] for path in files} - VAULT <= {"lock"}
    assert told(Hunt({**secrets(played), **NAMES}).search(files)) == []
    assert told(vouchers(played).search(files)) == []
    keys = Hunt(played.keyring.on_disk).search(files)
    assert {each.place.rpartition("/")[2] for each in keys} == {"expiry.keys"}


def test_a_backup_holds_none_either(played: Play) -> None:
    backup = {"backup": (played.folder / "backup").read_bytes()}
    assert len(backup["backup"]) > 1000
    wanted = {**secrets(played), **played.keyring.on_disk, **NAMES, **played.vouchers}
    assert told(Hunt(wanted).search(backup)) == []


def test_a_word_in_a_participants_folder_would_be_found(played: Play) -> None:
    (played.people["Ibis"].profile.vault / "planted").write_bytes(b"\0\0\0" + PLANTED.encode())
    (place,) = where(planted().search(played.of_person("Ibis")))
    assert place.endswith("/vault/planted")


def test_nothing_ever_lies_in_a_temporary_folder(played: Play) -> None:
    """But what the control puts there, without `tempfile`, whose first use tries whether a file can
    be written: it was seen although it is gone.
    """
    (place,) = played.watch.temporary
    assert place.rpartition("/")[2] == "planted"
    assert where(planted().search(played.watch.temporary)) == {place}


def test_no_secret_stands_in_arguments_or_environment(played: Play) -> None:
    """Of any process, those included that ours start. Names, topics and paths that somebody types
    as arguments are there: see THREATS.md.
    """
    shown = played.watch.shown()
    assert b"agent" in shown["arguments"]
    assert told(Hunt(secrets(played) | played.keyring.on_disk).search(shown)) == []
    assert told(vouchers(played).search(shown)) == []
    assert where(Hunt(NAMES).search(shown)) == {"arguments"}
    assert where(planted().search(shown)) == {"arguments", "environment"}


def test_an_agent_holds_each_key_once_where_no_core_and_no_swap_takes_it(
    played: Play, hunt: Hunt
) -> None:
    held = [each for each in core(played, "agent") if hunt.count_in(each.data)]
    (region,) = held
    assert hunt.count_in(region.data).total() == 2
    found = {name.split(" ")[1] for name in hunt.count_in(region.data)}
    assert found == {"vault", "volatile"}
    assert {"dd", "dc"} <= region.flags
    if "lo" not in region.flags:
        pytest.skip("this machine locks no memory")


def test_no_process_of_ours_outlives_lock(played: Play) -> None:
    assert played.left == set()


@pytest.mark.parametrize("how", ["a passphrase", "an agent"])
def test_what_a_readers_memory_holds_is_measured(played: Play, how: str) -> None:
    """Nothing is promised of it but that the passphrase is not there with an agent."""
    regions = core(played, f"reader with {how}")
    kinds: dict[str, dict[str, str | bytes]] = {
        "passphrase": {"passphrase": PASSPHRASE},
        "the vault's keys": {k: v for k, v in played.keyring.keys.items() if VAULT_KEY.search(k)},
        "words said": {**SAID},
        "names": {**NAMES},
        "channels' keys": {**played.keyring.keys, **played.keyring.on_disk},
    }
    counts = {kind: sum_of(Hunt(wanted), regions) for kind, wanted in kinds.items()}
    print(f"reader with {how}:", counts)  # noqa: T201 - measured
    assert counts["words said"]  # they are on the screen: the search works
    assert counts["the vault's keys"]
    if how == "an agent":
        assert counts["passphrase"] == 0


def sum_of(hunt: Hunt, regions: list[Region]) -> int:
    """How many copies of anything."""
    return sum(hunt.count_in(each.data).total() for each in regions)
