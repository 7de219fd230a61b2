"""`doctor`: each thing that is wrong is found, with its remedy and exit code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine

from backchannel.client.app import App
from backchannel.client.cli import run
from backchannel.client.exits import Exit
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.folder import KEYS
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import ChannelId, Timestamp
from tests.support.liar import KEY, OTHER, Liar, description
from tests.support.people import NOON, make_vault
from tests.support.socks import Socks

Checks = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Profile, VaultKey]]:
    profile, key = make_vault(tmp_path / "home")
    unlocked.start(profile, key, 600)
    yield profile, key
    unlocked.end(profile)


def examine(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Checks]:
    code = run(["doctor", "--json", "--home", str(home)], App())
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert all(check["next_step"] for check in checks if check["state"] == "bad")
    return code, {check["name"]: check for check in checks}


def with_relay(made: tuple[Profile, VaultKey], url: str) -> None:
    with Vault(*made, NOON) as vault, vault.exclusive(NOON), vault.transaction():
        summary = {"relays": [[url, KEY.value.hex()]]}
        vault.channels.add(ChannelId(bytes(16)), "north", b"", summary)


def test_before_anything_was_made_it_says_how_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = examine(tmp_path / "none", capsys)
    assert code == Exit.DONE
    assert checks["vault"]["next_step"] == "backchannel join URL"
    assert not (tmp_path / "none").exists()


def test_a_locked_vault_is_not_looked_into_and_no_passphrase_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_vault(tmp_path / "home")
    code, checks = examine(tmp_path / "home", capsys)
    assert code == Exit.DONE
    assert checks["vault"]["next_step"] == "backchannel unlock"


def test_a_healthy_installation(
    made: tuple[Profile, VaultKey], capsys: pytest.CaptureFixture[str]
) -> None:
    with Liar(lambda _: [description()]) as liar:
        with_relay(made, liar.url)
        code, checks = examine(made[0].data, capsys)
    assert code == Exit.DONE
    assert {checks[name]["state"] for name in ("folders", "keys", "agent", "vault", "relay")} == {
        "ok"
    }


def test_row_cl19_what_is_shown_to_others_names_nothing(
    made: tuple[Profile, VaultKey], capsys: pytest.CaptureFixture[str]
) -> None:
    """A relay with another key: where it is, and where the vault is, stays here."""
    with Liar(lambda _: [description(OTHER)]) as liar:
        with_relay(made, liar.url)
        code = run(["doctor", "--bundle", "--json", "--home", str(made[0].data)], App())
        said = capsys.readouterr().out
    assert code == Exit.KEY_CHANGED
    checks = {check["name"]: check for check in json.loads(said)["checks"]}
    assert (checks["relay"]["state"], checks["relay"]["text"]) == ("bad", "relay-key-changed")
    assert "SQLite" in checks["versions"]["text"]
    for secret in (liar.url, str(made[0].data), "north", KEY.value.hex()):
        assert secret not in said


def test_people_get_a_line_for_each(
    made: tuple[Profile, VaultKey], capsys: pytest.CaptureFixture[str]
) -> None:
    run(["doctor", "--home", str(made[0].data)], App())
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:4].strip() in {"ok", "note", "bad", ""} for line in lines)
    assert any(line.startswith("ok   vault     0 channels") for line in lines)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (description(OTHER), Exit.KEY_CHANGED),
        (description(hour=500_003), Exit.RELAY),
        (description(hour=499_998), Exit.RELAY),
        (b"what?\r\n\r\n", Exit.RELAY),
    ],
    ids=["another key", "its clock ahead", "its clock behind", "garbage"],
)
def test_a_relay_that_is_not_right(
    made: tuple[Profile, VaultKey],
    capsys: pytest.CaptureFixture[str],
    answer: bytes,
    status: Exit,
) -> None:
    with Liar(lambda _: [answer]) as liar:
        with_relay(made, liar.url)
        code, checks = examine(made[0].data, capsys)
    assert code == checks["relay"]["status"] == status
    assert checks["relay"]["state"] == "bad"


def test_a_proxy_is_greeted_and_used(
    made: tuple[Profile, VaultKey],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    onion = f"{'a' * 56}.onion"
    with Liar(lambda _: [description()]) as liar, Socks({onion: liar.url[7:]}) as socks:
        with_relay(made, f"http://{onion}")
        monkeypatch.setenv("BACKCHANNEL_PROXY", socks.url)
        code, checks = examine(made[0].data, capsys)
        assert (code, checks["proxy"]["state"], checks["relay"]["state"]) == (Exit.DONE, "ok", "ok")
    code, checks = examine(made[0].data, capsys)
    assert (code, checks["proxy"]["state"]) == (Exit.RELAY, "bad")
    assert "start Tor" in checks["proxy"]["next_step"]
    monkeypatch.delenv("BACKCHANNEL_PROXY")
    code, checks = examine(made[0].data, capsys)
    assert (code, checks["proxy"]["state"]) == (Exit.REFUSED, "bad")
    assert "--proxy none" in checks["proxy"]["next_step"]


def test_to_look_for_a_proxy_that_is_not_there_binds_nobody_to_it(
    made: tuple[Profile, VaultKey],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_relay(made, "https://relay.example")
    monkeypatch.setenv("BACKCHANNEL_PROXY", "socks5h://127.0.0.1:1")
    code, checks = examine(made[0].data, capsys)
    assert (code, checks["proxy"]["state"]) == (Exit.RELAY, "bad")
    assert "relay" not in checks
    assert not made[0].proxied.exists()


def test_without_a_proxy_it_says_what_relays_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, checks = examine(tmp_path / "none", capsys)
    assert checks["proxy"]["state"] == "note"
    assert "--tor" in checks["proxy"]["next_step"]


def test_an_open_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile, _ = make_vault(tmp_path / "home")
    profile.vault.chmod(0o755)
    code, checks = examine(profile.data, capsys)
    assert code == checks["folders"]["status"] == Exit.LOCKED
    assert checks["folders"]["next_step"] == f"chmod go-rwx {profile.vault}"


def test_a_clock_that_went_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile, key = make_vault(tmp_path / "home")
    Vault(profile, key, Timestamp(NOON + 5 * 3600)).close()
    code, checks = examine(profile.data, capsys)
    assert code == Exit.UNEXPECTED
    assert "5 hours behind" in checks["keys"]["text"]
    assert checks["keys"]["next_step"].startswith("set the clock right; if it is, wait so long")


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_lost_expiry_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    profile, _ = make_vault(tmp_path / "home")
    path = profile.vault / KEYS
    path.unlink() if damage == "missing" else path.write_bytes(bytes(2048))
    code, checks = examine(profile.data, capsys)
    assert code == Exit.UNEXPECTED
    assert checks["keys"]["state"] == "bad"


def test_an_agent_with_the_key_of_another_vault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile, _ = make_vault(tmp_path / "home")
    unlocked.start(profile, VaultKey(bytes(32)), 600)
    try:
        code, checks = examine(profile.data, capsys)
    finally:
        unlocked.end(profile)
    assert code == Exit.UNEXPECTED
    assert checks["vault"]["state"] == "bad"
