"""Options: the command line, else the environment, else the file, else the default."""

from pathlib import Path

import pytest

from backchannel.client.errors import UsageMistake
from backchannel.client.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "PASSPHRASE_FILE", "PROXY", "UNLOCK_FOR", "ALLOW_HTTP"):
        monkeypatch.delenv(f"BACKCHANNEL_{name}", raising=False)


def write(home: Path, text: str) -> None:
    (home / "config.toml").touch(0o600)
    (home / "config.toml").write_text(text)


def test_flag_before_environment_before_file_before_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = {"home": str(tmp_path)}
    assert Settings(home).proxy is None
    write(tmp_path, 'proxy = "file"\nunlock-for = "1h"')
    assert Settings(home).proxy == "file"
    monkeypatch.setenv("BACKCHANNEL_PROXY", "environment")
    assert Settings(home).proxy == "environment"
    assert Settings({**home, "proxy": "flag"}).proxy == "flag"
    assert Settings(home).unlock_for == "1h"


def test_the_home_comes_from_flag_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKCHANNEL_HOME", str(tmp_path / "environment"))
    assert Settings({}).profile.data == tmp_path / "environment"
    assert Settings({"home": str(tmp_path / "flag")}).profile.data == tmp_path / "flag"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings({"home": "~/mine"}).profile.data == tmp_path / "mine"


def test_defaults(tmp_path: Path) -> None:
    settings = Settings({"home": str(tmp_path)})
    assert settings.passphrase_file is None
    assert settings.unlock_for == "15m"
    assert settings.idle is None
    assert not settings.allow_http


@pytest.mark.parametrize(
    ("text", "allowed"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_plain_http_is_allowed_only_by_saying_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, allowed: bool
) -> None:
    monkeypatch.setenv("BACKCHANNEL_ALLOW_HTTP", text)
    assert Settings({"home": str(tmp_path)}).allow_http is allowed


@pytest.mark.parametrize("text", ['proxi = "x"', 'passphrase = "secret"', "not toml", "= 1"])
def test_a_file_that_says_what_nobody_understands_is_a_mistake(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UsageMistake) as caught:
        _ = Settings({"home": str(tmp_path)}).proxy
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("beyond", [b"\xff", b"proxy = " + b"[" * 2000, b"proxy = " + b"9" * 5000])
def test_attack_54_a_file_that_toml_has_no_words_for_is_a_mistake(
    tmp_path: Path, beyond: bytes
) -> None:
    write(tmp_path, "")
    Settings({"home": str(tmp_path)}).profile.settings_file.write_bytes(beyond)
    with pytest.raises(UsageMistake, match="is not TOML"):
        _ = Settings({"home": str(tmp_path)}).proxy
