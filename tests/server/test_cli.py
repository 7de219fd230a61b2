"""The operator's commands: what they print, how they end, and what each failure says to do next."""

import json
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from backchannel.protocol.drop import read_voucher
from backchannel.server import cli, doctor, exits, settings
from backchannel.server.doctor import Finding, examine
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.settings import Settings, load, template
from tests.server.certificates import make_certificate
from tests.server.inside import Opener
from tests.support.relay import PROGRAM, RelayProcess, run, running_relay


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    """One command in this process: exit code, standard output, standard error."""
    argv = ["backchannel-relay", *map(str, arguments)]
    with (
        patch.object(sys, "argv", argv),
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
        pytest.raises(SystemExit) as left,
    ):
        cli.main()
    assert "Traceback" not in err.getvalue()
    return int(left.value.code or 0), out.getvalue(), err.getvalue()


def failed(*arguments: str | Path) -> tuple[int, str]:
    """A command that cannot be done: its exit code and what it says, always with a next step."""
    code, _, said = invoke(*arguments)
    assert code != 0
    assert any(line.startswith("next: ") for line in said.splitlines()), said
    return code, said


def test_init_makes_a_private_directory(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "relay"
    code, said, _ = invoke("init", "--data", data)
    assert code == 0
    assert str(data) in said
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for file in data.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_init_says_the_key_that_clients_will_see(tmp_path: Path) -> None:
    _, said, _ = invoke("init", "--data", tmp_path / "relay", "--json")
    made = json.loads(said)
    assert made["schema_version"] == 1
    assert len(bytes.fromhex(made["static_key"])) == 32


@pytest.mark.parametrize(
    "left", ["relay.toml", "relay.key", "store.key", "expiry.keys", "relay.db"]
)
def test_init_overwrites_nothing(home: Home, left: str) -> None:
    for file in home.path.iterdir():
        if file.name != left:
            file.unlink()
    before = (home.path / left).read_bytes()
    code, said = failed("init", "--data", home.path)
    assert code == exits.REFUSED
    assert "already" in said
    assert (home.path / left).read_bytes() == before
    assert [file.name for file in home.path.iterdir()] == [left]


def test_init_where_nobody_may_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in failed("init", "--data", tmp_path / "file" / "relay")[1]


def test_the_configuration_names_every_key_with_its_default() -> None:
    uncommented = "\n".join(
        line.removeprefix("# ") for line in template().splitlines() if " = " in line
    )
    assert tomllib.loads(uncommented) == Settings().model_dump()
    assert tomllib.loads(template()) == {}


def test_vouchers_are_all_that_mint_prints(home: Home) -> None:
    code, said, errors = invoke("vouchers", "mint", "3", "--data", home.path)
    assert (code, errors) == (0, "")
    assert len({read_voucher(line) for line in said.splitlines()}) == 3


def test_vouchers_as_json(home: Home) -> None:
    _, said, _ = invoke("vouchers", "mint", "2", "--data", home.path, "--json")
    assert len(json.loads(said)["vouchers"]) == 2


@pytest.mark.parametrize("count", ["0", "10001", "x"])
def test_a_wrong_number_of_vouchers_is_a_usage_error(home: Home, count: str) -> None:
    assert failed("vouchers", "mint", count, "--data", home.path)[0] == exits.USAGE


@pytest.mark.parametrize("command", [["vouchers", "mint", "1"], ["serve"], ["check"], ["health"]])
def test_a_directory_without_a_relay_is_told(tmp_path: Path, command: list[str]) -> None:
    code, said = failed(*command, "--data", tmp_path / "nowhere")
    assert code in {exits.NOT_FOUND, exits.FAILED}
    assert "init" in said or "serve" in said


def test_without_data_it_is_a_usage_error() -> None:
    assert failed("check")[0] == exits.USAGE


def test_data_may_come_from_the_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCHANNEL_RELAY_DATA", str(home.path))
    assert invoke("check")[0] == 0


def test_check_is_content_with_what_init_wrote(home: Home) -> None:
    assert invoke("check", "--data", home.path)[:2] == (0, "the configuration is right\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 70000", "port"),
        ("port = 'x'", "port"),
        ("host =", "relay.toml"),
        ("quota = 0", "quota"),
        ("tls_cert = '/c.pem'", "go together"),
        ("log_level = 'loud'", "log_level"),
        ("tls_cert = '/no'\ntls_key = '/no'", "certificate"),
        ("host = '\xff'", ""),
        ("port = " + "[" * 2000, "relay.toml"),
        ("port = " + "9" * 5000, "relay.toml"),
    ],
)
def test_a_bad_configuration_is_refused_by_check_and_serve(
    home: Home, text: str, says: str
) -> None:
    home.config.write_text(text, "latin-1")
    for command in ("check", "serve"):
        code, said = failed(command, "--data", home.path)
        assert code == exits.USAGE
        assert says in said


def test_unknown_keys_are_warned_about(home: Home) -> None:
    home.config.write_text("prot = 1\n")
    assert invoke("check", "--data", home.path)[1].startswith("unknown key: prot")
    _, said, _ = invoke("check", "--data", home.path, "--json")
    assert json.loads(said) == {"schema_version": 1, "ok": True, "warnings": ["unknown key: prot"]}


def test_the_command_line_comes_before_the_environment_before_the_file(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config.write_text("port = 1\nquota = 1\nhost = 'file'\n")
    monkeypatch.setenv("BACKCHANNEL_RELAY_PORT", "2")
    monkeypatch.setenv("BACKCHANNEL_RELAY_QUOTA", "2")
    loaded, unknown = load(home.config, {"port": 3})
    assert (loaded.port, loaded.quota, loaded.host, unknown) == (3, 2, "file", [])


def test_a_bad_value_is_not_repeated(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKCHANNEL_RELAY_PORT", "hunter2")
    with pytest.raises(OperatorError) as caught:
        load(home.config)
    assert "hunter2" not in str(caught.value)


def findings(home: Home) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(home)}


@pytest.fixture
def free(home: Home) -> Home:
    """A relay whose port nobody else takes meanwhile."""
    home.config.write_text("port = 0\n")
    return home


def test_doctor_finds_a_fresh_relay_well(free: Home) -> None:
    assert all(finding.ok for finding in examine(free))
    code, said, _ = invoke("doctor", "--data", free.path)
    assert code == 0
    assert "FAIL" not in said


def damage_permissions(home: Home) -> None:
    home.key.chmod(0o644)


def damage_configuration(home: Home) -> None:
    home.config.write_text("prot = 0")


def damage_key(home: Home) -> None:
    home.key.write_text("not hex")


def damage_clock(home: Home) -> None:
    RelayProcess(home.path).move_clock(100)


def damage_clock_back(home: Home) -> None:
    RelayProcess(home.path).move_clock(-100)


def damage_database(home: Home) -> None:
    home.database.write_bytes(b"not a database" * 1000)


def damage_places(home: Home) -> None:
    home.places.unlink()


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (damage_permissions, "permissions"),
        (damage_configuration, "configuration"),
        (damage_key, "key"),
        (damage_clock, "clock"),
        (damage_clock_back, "clock"),
        (damage_database, "database"),
        (damage_places, "permissions"),
        (damage_places, "clock"),
    ],
)
def test_doctor_finds_damage_and_says_how_to_mend_it(free: Home, damage: object, name: str) -> None:
    assert callable(damage)
    damage(free)
    found = findings(free)[name]
    assert not found.ok
    assert found.next
    code, said, _ = invoke("doctor", "--data", free.path, "--json")
    assert code == exits.FAILED
    (entry,) = (check for check in json.loads(said)["checks"] if check["name"] == name)
    assert entry["next"] == found.next
    assert f"next: {found.next}" in invoke("doctor", "--data", free.path)[1]


def test_doctor_finds_a_full_disk(free: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_DISK", 1 << 62)
    assert not findings(free)["disk"].ok


def test_doctor_finds_a_port_that_is_taken(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        home.config.write_text(f"port = {taken.getsockname()[1]}\n")
        assert "cannot listen" in findings(home)["port"].detail


def test_doctor_leaves_a_running_relay_alone(open_inside: Opener) -> None:
    inside = open_inside()
    inside.home.config.write_text("port = 0\n")
    assert all(finding.ok for finding in examine(inside.home))


def test_a_relay_whose_key_others_may_read_is_not_served(home: Home) -> None:
    home.store_key.chmod(0o640)
    code, said = failed("serve", "--data", home.path)
    assert code == exits.REFUSED
    assert "chmod" in said


def test_a_taken_port_is_a_network_error(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert failed("serve", "--data", home.path, "--port", port)[0] == exits.NETWORK


def test_a_leaping_clock_is_explained(home: Home) -> None:
    RelayProcess(home.path).move_clock(100)
    code, said = failed("serve", "--data", home.path, "--port", "0")
    assert code == exits.REFUSED
    assert "100 hours ahead" in said
    assert "--accept-clock" in said


def test_an_unexpected_failure_shows_no_traceback(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_file: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(settings, "load", broken)
    code, said = failed("check", "--data", home.path)
    assert code == exits.FAILED
    assert "ZeroDivisionError" in said


def test_an_interruption_has_its_code(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_file: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(settings, "load", interrupted)
    assert invoke("check", "--data", home.path)[0] == exits.INTERRUPTED


@pytest.mark.parametrize("arguments", [[], ["--help"], ["serve", "--help"], ["vouchers"]])
def test_help_is_there(arguments: list[str]) -> None:
    code, said, errors = invoke(*arguments)
    assert "Usage:" in said + errors
    assert code in {0, exits.USAGE}


def test_the_version_is_the_packages() -> None:
    assert invoke("--version")[1].startswith("backchannel-relay, version ")


def test_help_needs_no_web_server() -> None:
    code = "import sys; from backchannel.server import cli; print('fastapi' in sys.modules)"
    done = subprocess.run([PROGRAM[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture(scope="module")
def served() -> Iterator[RelayProcess]:
    with running_relay() as relay:
        yield relay


def test_health_asks_the_running_relay(served: RelayProcess) -> None:
    assert invoke("health", "--data", served.data)[:2] == (0, "the relay answers\n")
    _, said, _ = invoke("health", "--data", served.data, "--json")
    assert json.loads(said)["ok"] is True


def test_doctor_asks_the_running_relay(served: RelayProcess) -> None:
    assert findings(Home(served.data))["port"].detail == "the relay answers"


def test_a_second_relay_in_one_directory_is_refused(served: RelayProcess) -> None:
    code, said = failed("serve", "--data", served.data, "--port", "0")
    assert code == exits.REFUSED
    assert "running" in said
    assert invoke("health", "--data", served.data)[0] == 0, "and the first still answers"


def test_health_of_a_relay_that_was_killed_is_bad(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    relay.kill()
    code, said = failed("health", "--data", relay.data)
    assert code == exits.FAILED
    assert "does not answer" in said


def test_health_of_something_else_at_the_address_is_bad(served: RelayProcess, home: Home) -> None:
    home.address.write_text(served.url)
    code, said = failed("health", "--data", home.path)
    assert code == exits.FAILED
    assert "something else" in said


def test_quickstart_is_all_that_one_machine_needs(tmp_path: Path) -> None:
    data = tmp_path / "relay"
    command = [*PROGRAM, "quickstart", "--data", str(data), "--port", "0", "--vouchers", "2"]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(3)]
            process.terminate()
        assert process.returncode == 0
        assert all(read_voucher(line) for line in lines[:2])
        assert lines[2].startswith("listening on http://127.0.0.1:")


def test_an_interrupted_relay_ends_with_its_code(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    assert relay._end(signal.SIGINT) == exits.INTERRUPTED


def test_tls_by_certificate_options(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    relay = RelayProcess.make(tmp_path / "relay", *options).start()
    assert relay.url.startswith("https://")
    assert run("health", "--data", str(relay.data)).returncode == 0
    assert relay.stop() == 0
