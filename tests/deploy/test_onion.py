"""The onion service's configuration is what tor understands, and leads to the relay's socket."""

from pathlib import Path

import pytest

from tests.deploy.programs import DEPLOY, run, settings

TORRC = DEPLOY / "onion/torrc"


def said() -> dict[str, str]:
    lines = [line for line in TORRC.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(maxsplit=1) for line in lines)


def test_tor_understands_every_line(tmp_path: Path) -> None:
    file = tmp_path / "torrc"
    file.write_text(TORRC.read_text().replace("/var/lib/tor", str(tmp_path)))
    done = run("tor", "--verify-config", "-f", str(file), "--DataDirectory", str(tmp_path / "data"))
    if "Unknown option" in done.stdout and "PoW" in done.stdout:
        pytest.skip("this tor is older than 0.4.8")
    assert done.returncode == 0, done.stdout
    warned = [line for line in done.stdout.splitlines() if "[warn]" in line]
    assert all("running Tor as root" in line for line in warned), warned


def test_it_leads_to_the_relays_own_socket() -> None:
    unit = settings((DEPLOY / "systemd/backchannel-relay.socket").read_text())
    (path,) = unit["ListenStream"]
    assert said()["HiddenServicePort"] == f"80 unix:{path}"


def test_it_defends_itself_and_serves_nothing_else() -> None:
    told = said()
    assert told["HiddenServicePoWDefensesEnabled"] == "1"
    assert told["HiddenServiceEnableIntroDoSDefense"] == "1"
    assert told["SocksPort"] == "0"
    assert told["SafeLogging"] == "1"
    assert "HiddenServiceNonAnonymousMode" not in told
