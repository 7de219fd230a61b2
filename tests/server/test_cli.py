"""The operator's commands: what they print, how they end, and what each failure says to do next."""

import contextlib
import json
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import click
import pytest

from backchannel.protocol.drop import read_voucher
from backchannel.server import cli, exits, settings
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.operate import doctor
from backchannel.server.operate.doctor import Finding, examine
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


def document(*arguments: str | Path) -> dict[str, Any]:
    """What a command that went well says with `--json`."""
    code, said, errors = invoke(*arguments, "--json")
    assert code == 0, errors
    found: dict[str, Any] = json.loads(said)
    assert found.pop("schema_version") == 1
    return found


def test_attack_112_a_directory_of_somebody_else_gets_no_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it before root did could put a relay.toml of its own there, and read keys."""
    data = tmp_path / "relay"
    data.mkdir(mode=0o755)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    code, said = failed("init", "--data", data)
    assert code == exits.REFUSED
    assert "belongs to somebody else" in said
    assert list(data.iterdir()) == []
    assert stat.S_IMODE(data.stat().st_mode) == 0o755


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


@pytest.mark.parametrize("command", ["doctor", "health"])
def test_who_looks_where_no_relay_is_is_told_to_make_one(tmp_path: Path, command: str) -> None:
    """And not that a key is to be put back which never was."""
    said = failed(command, "--data", tmp_path)[1]
    assert "there is no relay in" in said
    assert f"next: backchannel-relay init --data {tmp_path}" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("make", [Home.check_made, Home.make])
def test_another_users_relay_is_called_so(home: Home, make: Callable[[Home], None]) -> None:
    child = os.fork()
    if not child:
        os.setuid(65_534)
        try:
            make(home)
        except OperatorError as error:
            os._exit(error.code)
        finally:
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (exits.REFUSED if make is Home.check_made else exits.FAILED)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_standard_output_is_called_so(home: Home) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "check", "--data", str(home.path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == exits.FAILED
    assert done.stderr == "error: No space left on device\nnext: make room on the disk\n"


@pytest.mark.parametrize(
    "name", ["relay.toml", "relay.key", "expiry.keys", "store.key", "relay.db"]
)
def test_half_a_relay_is_not_sent_to_init_which_refuses_it(home: Home, name: str) -> None:
    (home.path / name).unlink()
    code, said = failed("serve", "--data", home.path)
    assert code == exits.NOT_FOUND
    assert f"{name} is missing" in said
    assert "restore" in said
    assert "init" not in said


def test_on_a_narrow_screen_lines_break_between_words(home: Home) -> None:
    (home.path / "relay.db").unlink()
    ours, theirs = pty.openpty()
    subprocess.run(
        [*PROGRAM, "doctor", "--data", str(home.path)],
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"COLUMNS": "60"},
        timeout=60,
        check=False,
    )
    os.close(theirs)
    told = b""
    with contextlib.suppress(OSError):  # Linux says so when the other end is gone
        while piece := os.read(ours, 4096):
            told += piece
    os.close(ours)
    lines = told.decode().splitlines()
    long = [line for line in lines if len(line) > 60 and str(home.path) not in line]
    assert not long
    first = next(at for at, line in enumerate(lines) if line.startswith("ok   to be open"))
    assert lines[first + 1].startswith("     ")


def test_a_guide_and_the_retention_fit_a_narrow_screen_too(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for arguments in (["guide", "second"], ["retention", "--data", str(home.path)]):
        prose = [line for line in invoke(*arguments)[1].splitlines() if line.startswith("  ")]
        assert 40 < max(map(len, prose)) <= 60


def test_without_data_it_is_a_usage_error() -> None:
    code, said = failed("check")
    assert code == exits.USAGE
    assert "BACKCHANNEL_RELAY_DATA" in said


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
    meant = "unknown key: prot (did you mean port?)"
    said = invoke("check", "--data", home.path)[1]
    assert said == f"{meant}\nthe rest of the configuration is right\n"
    _, said, _ = invoke("check", "--data", home.path, "--json")
    assert json.loads(said) == {"schema_version": 1, "ok": True, "warnings": [meant]}


def test_a_bad_value_is_corrected_where_it_stands(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKCHANNEL_RELAY_PORT", "x")
    said = failed("check", "--data", home.path)[1]
    assert "next: correct BACKCHANNEL_RELAY_PORT in the environment" in said
    monkeypatch.delenv("BACKCHANNEL_RELAY_PORT")
    home.config.write_text("port = 'x'\n")
    assert f"next: correct {home.config}" in failed("check", "--data", home.path)[1]


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


def test_help_loads_no_verb_and_nothing_heavy() -> None:
    code = (
        "import sys; from backchannel.server import cli\n"
        "try: cli.commands.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'fastapi', 'sqlalchemy', 'pydantic', 'nacl'} & set(sys.modules)\n"
        "print(sorted(heavy), [m for m in sys.modules if 'server.commands' in m])"
    )
    done = subprocess.run([PROGRAM[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] []"


def test_every_verb_of_the_table_is_there() -> None:
    for name in cli.commands.list_commands(click.Context(cli.commands)):
        assert invoke(name, "--help")[0] == 0


def test_a_verb_mistyped_is_told_the_nearest() -> None:
    code, said = failed("docter")
    assert code == exits.USAGE
    assert "Did you mean doctor?" in said


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


def test_the_same_relay_begun_twice_is_told_so_and_not_to_take_another_port(
    served: RelayProcess,
) -> None:
    port = str(urlsplit(served.url).port)
    code, said = failed("serve", "--data", served.data, "--port", port)
    assert code == exits.REFUSED
    assert "running" in said


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


def test_quickstart_mints_once_and_never_for_a_relay_that_cannot_be_reached(
    tmp_path: Path,
) -> None:
    data = tmp_path / "relay"
    command = [*PROGRAM, "quickstart", "--data", str(data), "--port"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = [*command, str(other.getsockname()[1])]
        refused = subprocess.run(taken, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == exits.NETWORK
    assert refused.stdout == ""
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert all(read_voucher(process.stdout.readline().strip()) for _ in range(10))
        process.terminate()
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ")
        process.terminate()
    assert process.returncode == 0


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
