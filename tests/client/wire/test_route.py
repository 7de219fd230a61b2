"""Straight or through a proxy: what is said where decides, and nobody goes straight by a slip."""

from pathlib import Path

import pytest

from backchannel.client.app import App
from backchannel.client.cli import run
from backchannel.client.errors import ProxyWanted, UsageMistake
from backchannel.client.exits import Exit
from backchannel.client.machine.profile import Profile
from backchannel.client.settings import Settings
from backchannel.client.vault.folder import Folder
from backchannel.client.wire.route import chosen
from tests.support.people import make_vault

PROXY = "socks5h://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROXY", "TOR"):
        monkeypatch.delenv(f"BACKCHANNEL_{name}", raising=False)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return make_vault(tmp_path / "home")[0]


# Once through a proxy.


@pytest.mark.parametrize("said", ["tor", PROXY])
def test_attack_a_command_that_forgot_the_proxy_does_not_go_straight(
    profile: Profile, said: str
) -> None:
    assert chosen(profile, None) is None
    assert chosen(profile, said) == said
    with pytest.raises(ProxyWanted) as caught:
        chosen(profile, None)
    assert "Nothing was sent" in caught.value.message
    assert all(way in caught.value.next_step for way in ("--tor", "--proxy URL", "--proxy none"))
    assert chosen(profile, "none") is None
    with pytest.raises(ProxyWanted):  # which was meant for that command, and for no other
        chosen(profile, None)


def test_before_there_is_a_vault_there_is_nothing_to_remember(tmp_path: Path) -> None:
    profile = Profile.at(tmp_path / "home")
    assert chosen(profile, "tor") == "tor"
    assert not (tmp_path / "home").exists()


def test_what_is_no_proxy_binds_nobody(profile: Profile) -> None:
    with pytest.raises(UsageMistake):
        chosen(profile, "socks5h://")
    assert chosen(profile, None) is None


def test_a_relay_on_this_machine_to_which_no_proxy_leads_leaves_no_mark(
    profile: Profile, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--relay", "http://127.0.0.1:9", "--home", str(profile.data)]
    assert run(["channel", "new", "North", "--tor", *more], App()) == Exit.USAGE
    assert "is this machine, to which no proxy leads" in capsys.readouterr().err
    assert not profile.proxied.exists()
    assert run(["channel", "new", "North", *more], App()) == Exit.RELAY, "it goes straight"


def test_the_mark_says_nothing_more_and_goes_with_the_vault(profile: Profile) -> None:
    chosen(profile, "tor")
    found = profile.proxied.stat()
    assert (found.st_size, found.st_mode & 0o077) == (0, 0)
    Folder(profile.vault).destroy()
    assert not profile.proxied.exists()


def test_a_verb_says_how_to_go_on(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    chosen(profile, "tor")
    more = ["--home", str(profile.data)]
    assert (
        run(["channel", "new", "North", "--relay", "https://192.0.2.7", *more], App())
        == Exit.REFUSED
    )
    assert "--proxy none" in capsys.readouterr().err


# Who says it.


def write(home: Path, text: str) -> None:
    (home / "config.toml").touch(0o600)
    (home / "config.toml").write_text(text)


def test_flag_before_environment_before_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"home": str(tmp_path)}
    assert Settings(home).proxy is None
    write(tmp_path, "tor = true")
    assert Settings(home).proxy == "tor"
    monkeypatch.setenv("BACKCHANNEL_PROXY", PROXY)
    assert Settings(home).proxy == PROXY
    assert Settings({**home, "tor": "yes"}).proxy == "tor"
    assert Settings({**home, "proxy": "none"}).proxy == "none"
    monkeypatch.setenv("BACKCHANNEL_PROXY", "")
    monkeypatch.setenv("BACKCHANNEL_TOR", "0")  # that is no word for going straight
    assert Settings(home).proxy == "tor"
    monkeypatch.setenv("BACKCHANNEL_TOR", "1")
    write(tmp_path, "tor = false")
    assert Settings(home).proxy == "tor"


def test_what_runs_by_itself_later_goes_the_same_way(
    profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service has not this shell's environment."""
    more = ["--home", str(profile.data)]
    assert run(["--tor", "watch", "--unit", *more], App()) == Exit.DONE
    assert ' "--proxy" "tor" "watch"' in capsys.readouterr().out
    assert Settings({"home": str(tmp_path), "proxy": PROXY}).way == ["--proxy", PROXY]
    assert Settings({"home": str(tmp_path)}).way == []


def test_two_ways_at_once_are_none(tmp_path: Path) -> None:
    write(tmp_path, f'tor = true\nproxy = "{PROXY}"')
    with pytest.raises(UsageMistake, match="both"):
        _ = Settings({"home": str(tmp_path)}).proxy
    with pytest.raises(UsageMistake, match="both"):
        _ = Settings({"home": str(tmp_path), "tor": "yes", "proxy": "none"}).proxy
