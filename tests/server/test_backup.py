"""A relay comes back from its backup as the same relay, without anything that was to be gone: rows
OP10, U17 to U20.
"""

import base64
import errno
import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backchannel.protocol.drop import read_voucher
from backchannel.protocol.expiry import PLACE, Place, PlaceKind
from backchannel.protocol.limits import RESTORED
from backchannel.protocol.primitives import x25519_public
from backchannel.server import exits
from backchannel.server.home import Home
from backchannel.server.migrate import revision
from backchannel.server.models import SCHEMA
from backchannel.server.operate import backup, restore, vouchers
from backchannel.server.operate.holdings import holdings, survey
from backchannel.server.operate.legal import letter
from backchannel.server.settings import Settings
from backchannel.server.sqlite.file import open_readers
from tests.server.inside import Inside, Opener
from tests.server.test_cli import document, failed, invoke
from tests.server.test_retention import sealed_rows
from tests.support.relay import PROGRAM, DropClient, RefusedError, noise, running_relay


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "relay.backup"


def restored(file: Path, *, keep: bool = False) -> Inside:
    """The relay that comes of a backup, at work."""
    home = Home(file.with_name("restored"))
    restore.restore(file, home, vouchers=keep)
    return Inside(home, Settings())


def moved(client: DropClient, inside: Inside) -> DropClient:
    """The same client after the relay came back."""
    client.http = inside.http
    return client


def test_a_relay_comes_back_for_its_clients(inside: Inside, file: Path) -> None:
    client, sealed = inside.drop(), inside.drop()
    client.append(*noise(3))
    sealed.seal()
    document("backup", file, "--data", inside.home.path)
    inside.close()
    with restored(file) as back:
        assert back.home.static_key().expose() == inside.home.static_key().expose()
        for each in (client, sealed):
            moved(each, back)
        assert client.read().rows == ()
        assert len(client.append(*noise())) == 1
        with pytest.raises(RefusedError, match="sealed"):
            sealed.append(*noise())
        with pytest.raises(RefusedError, match="unknown-drop"):
            client.with_wrong_key().read()


def test_who_read_further_than_the_backup_knows_misses_nothing(inside: Inside, file: Path) -> None:
    client = inside.drop()
    client.append(*noise(3))
    backup.take(inside.home, file)
    client.append(*noise(20))
    cursor = client.read().following
    inside.close()
    with restored(file) as back:
        moved(client, back)
        assert cursor == 24
        blocks = noise(10)
        client.append(*blocks)
        page = client.read(cursor)
        assert [row.block for row in page.rows] == blocks
        assert page.rows[0].position == 4 + RESTORED
        assert page.following == page.rows[-1].position + 1


def test_a_second_coming_back_goes_further_up(inside: Inside, file: Path) -> None:
    client = inside.drop()
    backup.take(inside.home, file)
    inside.close()
    with restored(file) as back:
        moved(client, back).append(*noise(2))
        again = file.with_name("again")
        again.mkdir()
        backup.take(back.home, again / "relay.backup")
    with restored(again / "relay.backup") as back:
        assert moved(client, back).read().following == 3 + 2 * RESTORED


def test_what_comes_back_has_room_for_a_whole_quota(
    open_inside: Opener, home: Home, file: Path
) -> None:
    inside = open_inside(quota=4)
    client = inside.drop()
    client.append(*noise(4))
    backup.take(home, file)
    inside.close()
    fresh = Home(file.with_name("restored"))
    restore.restore(file, fresh)
    with Inside(fresh, Settings(quota=4)) as back:
        moved(client, back).append(*noise(4))
        with pytest.raises(RefusedError, match="quota"):
            client.append(*noise())


def forms(secret: bytes) -> list[bytes]:
    """A secret as it may stand in a text: raw, in hex, in base64 at each of three offsets."""
    shifted = (base64.b64encode(bytes(n) + secret)[4:-4] for n in range(3))
    return [secret, secret.hex().encode("ascii"), *shifted]


def keys_of(home: Home) -> list[bytes]:
    data = home.places.read_bytes()
    places = [Place.read(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]
    return [place.value for place in places if place.kind is PlaceKind.EXPIRY]


def test_attack_29_a_backup_holds_no_block_and_no_key_that_opens_one(
    inside: Inside, file: Path
) -> None:
    client = inside.drop()
    blocks = noise(3)
    client.append(*blocks)
    backup.take(inside.home, file)
    data = file.read_bytes()
    rows = sealed_rows(inside.home)
    secrets = [inside.home.store_secret().expose(), *keys_of(inside.home)]
    secrets += [row[2] for row in rows] + [row[3][100:160] for row in rows]
    secrets += [block[:64] for block in blocks]
    assert len(secrets) == 1 + 1 + 9
    assert not any(form in data for secret in secrets for form in forms(secret))
    static = forms(inside.home.static_key().expose())
    assert any(form in data for form in static), "a control: what is there is found"


def test_the_list_names_all_that_stands_in_a_backup(inside: Inside, file: Path) -> None:
    """Each field of each line, by the words for it; and `legal` says what does not."""
    words = {
        "key": "static key",
        "settings": "relay.toml",
        "hour": "the hour",
        "id": "random id",
        "access": "keys",
        "close": "keys",
        "keep": "class",
        "following": "next position",
        "sealed": "whether it is sealed",
        "digest": "hashes of vouchers",
    }
    form = {"line", "form", "version", "drops", "vouchers", "sum"}
    inside.drop().append(*noise())
    inside.voucher()
    backup.take(inside.home, file)
    fields = {name for line in file.read_text().splitlines() for name in json.loads(line)}
    assert fields == set(words) | form
    (listed,) = (each for each in holdings(inside.home) if each.name == "backups")
    assert all(word in listed.what for word in words.values())
    absent = " ".join("\n".join(letter(survey(inside.home))).split())
    assert "in any backup that this program made: a block, or a key that opens one" in absent


def test_attack_29_restoring_makes_new_keys_for_what_will_come(inside: Inside, file: Path) -> None:
    inside.drop().append(*noise())
    before = inside.home.store_key.read_bytes(), keys_of(inside.home)
    backup.take(inside.home, file)
    with restored(file) as back:
        assert sealed_rows(back.home) == []
        assert back.home.store_key.read_bytes() != before[0]
        assert keys_of(back.home) == []


def test_attack_29_a_backup_from_before_an_expiry_brings_back_nothing(
    inside: Inside, file: Path
) -> None:
    client = inside.drop(0)
    client.append(*noise(5))
    backup.take(inside.home, file)
    inside.close()
    with restored(file) as back:
        page = moved(client, back).read()
        assert page.rows == ()
        assert page.following == 6 + RESTORED


def test_vouchers_used_or_taken_back_since_are_not_good_again_unasked(
    inside: Inside, file: Path
) -> None:
    used, revoked, kept = vouchers.mint(inside.home, 3)
    backup.take(inside.home, file)
    inside.stranger().create(read_voucher(used))
    vouchers.revoke(inside.home, [revoked])
    inside.close()
    with restored(file) as back:
        for voucher in (used, revoked, kept):
            with pytest.raises(RefusedError, match="voucher-refused"):
                back.stranger().create(read_voucher(voucher))


def test_vouchers_come_back_where_the_operator_says_so(inside: Inside, file: Path) -> None:
    (voucher,) = vouchers.mint(inside.home, 1)
    backup.take(inside.home, file)
    inside.close()
    with restored(file, keep=True) as back:
        back.stranger().create(read_voucher(voucher))


def test_settings_that_are_none_any_more_come_back_and_check_says_so(
    home: Home, file: Path
) -> None:
    home.config.write_text("quota = 7\n")
    backup.take(home, file)
    old = file.read_bytes()
    first, *rows = old.splitlines(keepends=True)[:-1]
    lines = first.replace(b"quota = 7", b"quota = 0") + b"".join(rows)
    total = base64.b64encode(hashlib.sha256(lines).digest()).decode()
    file.write_bytes(lines + f'{{"line":"end","sum":"{total}"}}\n'.encode())
    back = Home(file.with_name("back"))
    restore.restore(file, back)
    assert back.config.read_text() == "quota = 0\n"
    assert "quota" in failed("check", "--data", back.path)[1]


def test_only_its_owner_reads_a_backup(home: Home, file: Path) -> None:
    backup.take(home, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_through_pipes_nothing_unencrypted_needs_a_file(home: Home, tmp_path: Path) -> None:
    data = tmp_path / "back"
    making = [*PROGRAM, "backup", "-", "--data", str(home.path)]
    with subprocess.Popen(making, stdout=subprocess.PIPE) as taken:
        command = [*PROGRAM, "restore", "-", "--data", str(data)]
        done = subprocess.run(command, stdin=taken.stdout, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Home(data).static_key().expose() == home.static_key().expose()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files in memory")
def test_attack_34_what_comes_by_standard_input_is_on_no_disk(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was decrypted on its way, and stood with the relay's key in a file that nobody wiped."""
    backup.take(home, file)
    with file.open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        with backup.opened(backup.STANDARD) as taken:
            where = Path(f"/proc/self/fd/{taken.fileno()}").readlink()
            assert taken.read() == file.read_bytes()
    assert str(where).startswith("/memfd:")


def test_a_reader_that_goes_away_is_told_without_a_traceback(home: Home) -> None:
    vouchers.mint(home, 10_000)
    command = [*PROGRAM, "backup", "-", "--data", str(home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as taken:
        assert taken.stdout is not None
        assert taken.stderr is not None
        taken.stdout.close()
        said = taken.stderr.read()
    assert b"standard output cannot be written" in said
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said


def test_a_disk_that_is_full_leaves_no_half_of_a_backup(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in failed("backup", file, "--data", home.path)[1]
    assert not file.exists()


def test_attack_a_backup_overwrites_nothing_and_follows_no_link(home: Home, file: Path) -> None:
    file.write_text("mine")
    link = file.with_name("link")
    link.symlink_to(file.with_name("elsewhere"))
    for each in (file, link):
        assert failed("backup", each, "--data", home.path)[0] == exits.REFUSED
    assert file.read_text() == "mine"
    assert not file.with_name("elsewhere").exists()


def test_no_backup_is_put_into_the_folder_that_it_is_of(home: Home, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home.path)
    before = sorted(home.path.iterdir())
    for folder in (home.path, link):
        assert failed("backup", folder / "b", "--data", home.path)[0] == exits.REFUSED
    assert sorted(home.path.iterdir()) == before


def test_restoring_overwrites_no_relay(home: Home, file: Path) -> None:
    backup.take(home, file)
    before = {each.name: each.read_bytes() for each in home.path.iterdir()}
    code, said = failed("restore", file, "--data", home.path)
    assert code == exits.REFUSED
    assert "already" in said
    assert {each.name: each.read_bytes() for each in home.path.iterdir()} == before


def test_a_clock_behind_the_backup_is_told(inside: Inside, file: Path) -> None:
    inside.move_clock(5)
    backup.take(inside.home, file)
    code, said = failed("restore", file, "--data", file.with_name("back"))
    assert code == exits.REFUSED
    assert "5 hours behind" in said
    assert not file.with_name("back").exists()


def test_a_store_of_another_version_is_upgraded_first(home: Home, file: Path) -> None:
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    code, said = failed("backup", file, "--data", home.path)
    assert code == exits.REFUSED
    assert "db upgrade" in said
    assert not file.exists()


def test_without_a_file_the_backups_of_a_folder_are_listed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    vouchers.mint(home, 2)
    backup.take(home, folder / "old")
    (folder / "other").write_text("{}")
    (folder / "folder").mkdir()
    monkeypatch.chdir(folder)
    for arguments in (["--list"], [], ["--list", folder]):
        listed = document("restore", *arguments)["backups"]
        assert [(Path(each["file"]).name, each["vouchers"]) for each in listed] == [("old", 2)]
    _, said, next_ = invoke("restore")
    assert said.startswith("old  ")
    assert "next: backchannel-relay restore old --data DIR" in next_
    monkeypatch.chdir(folder / "folder")
    assert "no backup is in" in invoke("restore")[1]
    assert failed("restore", "--list", tmp_path / "none")[0] == exits.NOT_FOUND


def test_restore_asks_where(home: Home, file: Path) -> None:
    backup.take(home, file)
    assert failed("restore", file)[0] == exits.USAGE


def test_a_fault_halfway_leaves_no_relay(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk fills up: then the same folder takes the next attempt."""
    backup.take(home, file)
    back = Home(file.with_name("back"))

    def broken(_home: Home, _file: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(restore, "_fill", broken)
        code, _, _ = invoke("restore", file, "--data", back.path)
    assert code != 0
    assert list(back.path.iterdir()) == []
    restore.restore(file, back)
    with running_relay(start=False) as process:
        process.data = back.path
        assert DropClient.connect(process.start().url).relay == x25519_public(back.static_key())


def test_the_schema_that_it_makes_is_this_programs(home: Home, file: Path) -> None:
    backup.take(home, file)
    back = Home(file.with_name("back"))
    restore.restore(file, back)
    engine = open_readers(back.database)
    assert revision(engine) == SCHEMA
    engine.dispose()
