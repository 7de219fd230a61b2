"""The program as people and scripts call it: verbs, failures, exit codes, no tracebacks."""

import json
import os
import pty
import stat
import subprocess
from pathlib import Path

import click
import pytest

from backchannel.client import cli
from backchannel.client.app import App
from backchannel.client.cli import LazyGroup, run
from backchannel.client.errors import Locked, NotFound
from backchannel.client.exits import Exit
from backchannel.client.machine.profile import Profile
from backchannel.client.options import Duration
from backchannel.client.ui import Ui
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.vault import Vault
from tests.support.people import (
    ENTROPY,
    NOON,
    PASSPHRASE,
    PROGRAM,
    make_vault,
    passphrase_file,
    program,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("BACKCHANNEL_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("BACKCHANNEL_HOME", str(home))
    return home


def test_alone_it_says_how_to_start_and_makes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([], App()) == Exit.DONE
    assert "next: backchannel join URL" in capsys.readouterr().out
    assert not home.exists()


def test_alone_with_a_locked_vault_it_says_so_and_asks_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_vault(home)
    assert run(["--json"], App()) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert found == {"schema_version": 1, "vault": "locked", "next": "backchannel unlock"}


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_verb_and_gives_examples(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([flag], App()) == Exit.DONE
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli._VERBS)
    assert "Examples:" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"], App()) == Exit.DONE
    assert capsys.readouterr().out.startswith("backchannel 0.")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("sya", "Did you mean say?"),
        ("membres", "Did you mean members?"),
        ("zzzz", "no verb 'zzzz'"),
    ],
)
def test_an_unknown_verb_is_a_mistake_and_the_nearest_is_named(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([typed], App()) == Exit.USAGE
    shown = capsys.readouterr()
    assert said in shown.err
    assert "next: backchannel --help" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("typed", [["--channel", "North", "read"], ["duty", "--channel", "North"]])
def test_a_channel_before_the_verb_is_told_where_it_stands(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed, App()) == Exit.USAGE
    assert "--channel NAME stands after the verb" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["paths", "--wrong"], ["--wrong"], ["unlock", "--for", "3y"]]
)
def test_a_wrong_option_is_a_mistake(
    arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, App()) == Exit.USAGE
    assert "next: backchannel" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--json", "paths"], ["paths", "--json"]])
def test_common_options_stand_before_or_after_the_verb(
    arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments, App()) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["data"] == str(home)


def test_paths_makes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["paths", "--home", str(home / "other")], App()) == Exit.DONE
    assert f"vault     {home}/other/vault" in capsys.readouterr().out
    assert not home.exists()


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a verb that raises."""

    @click.command("fails")
    def fails() -> None:
        raise error

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: fails)
    return run(["paths"], App())


def test_a_told_failure_has_a_next_step_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(NotFound("No such thread."), monkeypatch) == Exit.NOT_FOUND
    assert capsys.readouterr().err == "error: No such thread.\nnext: backchannel status\n"


def test_an_untold_failure_is_a_sentence_without_traceback_or_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(ValueError("the secret is 42"), monkeypatch) == Exit.UNEXPECTED
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "Traceback" not in shown
    assert "42" not in shown
    assert "next: set BACKCHANNEL_DEBUG=1" in shown


def test_with_debug_the_traceback_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKCHANNEL_DEBUG", "1")
    failing(ValueError("the secret is 42"), monkeypatch)
    assert "Traceback" in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(KeyboardInterrupt(), monkeypatch) == Exit.INTERRUPTED


def test_with_json_errors_are_documents_on_standard_error(home: Path) -> None:
    done = program("unlock", "--json", home=home)
    assert done.returncode == Exit.LOCKED
    assert done.stdout == ""
    found = json.loads(done.stderr)
    assert found["schema_version"] == 1
    assert found["error"]["code"] == "locked"
    assert "--passphrase-file" in found["error"]["next"]


def test_with_json_a_mistake_in_the_options_is_a_document_too(home: Path) -> None:
    done = program("paths", "--nonsense", "--json", home=home)
    assert done.returncode == Exit.USAGE
    assert json.loads(done.stderr)["error"]["code"] == "usage"


def test_a_reader_that_goes_away_is_not_a_traceback(home: Path) -> None:
    command = " ".join(f"'{part}'" for part in (*PROGRAM, "--help"))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""


def test_the_first_unlock_makes_a_vault_and_lock_ends_it(home: Path, tmp_path: Path) -> None:
    secret = str(passphrase_file(tmp_path))
    done = program("unlock", "--passphrase-file", secret, "--json", home=home)
    try:
        assert done.returncode == Exit.DONE, done.stderr
        assert json.loads(done.stdout) == {
            "schema_version": 1, "state": "unlocked", "seconds": 900, "idle_seconds": 900,
        }  # fmt: skip
        key = unlocked.ask(Profile.at(home))
        assert key is not None
        Vault(Profile.at(home), key, NOON).close()
    finally:
        done = program("lock", "--json", home=home)
    assert json.loads(done.stdout)["was_unlocked"] is True
    assert unlocked.ask(Profile.at(home)) is None
    modes = {stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert modes <= {0o600, 0o700}


def test_a_wrong_passphrase_is_locked(home: Path, tmp_path: Path) -> None:
    make_vault(home)
    secret = str(passphrase_file(tmp_path, "something else"))
    done = program("unlock", "--passphrase-file", secret, home=home)
    assert done.returncode == Exit.LOCKED
    assert "does not open this vault" in done.stderr
    assert "next: try again" in done.stderr


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_line_end_of_a_passphrase_file_does_not_matter(
    home: Path, tmp_path: Path, ending: str
) -> None:
    _, key = make_vault(home)
    path = passphrase_file(tmp_path)
    path.write_bytes(PASSPHRASE.encode() + ending.encode())
    app = App()
    app.flags["passphrase-file"] = str(path)
    assert app.typed_key() == key


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_an_empty_or_unreadable_passphrase_file_is_refused(
    home: Path, tmp_path: Path, content: bytes
) -> None:
    path = passphrase_file(tmp_path)
    path.write_bytes(content)
    done = program("unlock", "--passphrase-file", str(path), home=home)
    assert done.returncode == Exit.LOCKED
    assert not Profile.at(home).has_vault


def test_a_passphrase_file_that_others_may_read_is_warned_of(home: Path, tmp_path: Path) -> None:
    make_vault(home)
    path = passphrase_file(tmp_path)
    path.chmod(0o644)
    done = program("unlock", "--passphrase-file", str(path), home=home)
    assert done.returncode == Exit.DONE
    assert "Others on this machine may look into" in done.stderr
    unlocked.end(Profile.at(home))


def test_an_open_folder_is_refused_before_anything_is_read(home: Path, tmp_path: Path) -> None:
    make_vault(home)
    home.chmod(0o755)
    done = program("unlock", "--passphrase-file", str(passphrase_file(tmp_path)), home=home)
    assert done.returncode == Exit.LOCKED
    assert f"next: chmod go-rwx {home}" in done.stderr


def at_terminal(answers: list[str], *arguments: str, home: Path) -> tuple[int, str]:
    """Run the program at a terminal of its own and type; exit code and all that was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["BACKCHANNEL_HOME"] = str(home)
        os.execv(PROGRAM[0], [*PROGRAM, *arguments])  # noqa: S606 - a terminal, and no shell in it
    shown = b""
    for answer in answers:
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1)
        os.write(terminal, answer.encode() + b"\n")
        shown += os.read(terminal, 1)
    try:
        while piece := os.read(terminal, 1000):
            shown += piece
    except OSError:  # how a terminal says that nobody is there any more
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_a_new_passphrase_is_asked_twice_and_not_shown(home: Path) -> None:
    code, shown = at_terminal([PASSPHRASE, PASSPHRASE], "unlock", home=home)
    unlocked.end(Profile.at(home))
    assert code == Exit.DONE, shown
    assert PASSPHRASE not in shown
    Vault(Profile.at(home), Vault.key(Profile.at(home), PASSPHRASE, NOON, ENTROPY), NOON).close()


@pytest.mark.parametrize(
    "answers",
    [["short"] * 3, ["long enough one", "long enough two"] * 3],
    ids=["short", "different"],
)
def test_a_short_or_mistyped_new_passphrase_makes_no_vault(home: Path, answers: list[str]) -> None:
    code, _ = at_terminal(answers, "unlock", home=home)
    assert code == Exit.LOCKED
    assert not Profile.at(home).has_vault


def test_attack_43_the_passphrase_is_never_an_argument() -> None:
    shown = subprocess.run(
        [*PROGRAM, "unlock", "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "--passphrase-file FILE" in shown
    assert "--passphrase " not in shown


@pytest.mark.parametrize(
    ("text", "hours"), [("1h", 1), ("7d", 168), ("60m", 1), ("90d", 2160), ("3600s", 1)]
)
def test_a_lifetime_is_whole_hours(text: str, hours: int) -> None:
    assert Duration("1h", "90d", hours=True).convert(text, None, None) == hours


@pytest.mark.parametrize(
    "text", ["", "h", "0h", "91d", "90m", "1.5h", "-1h", "\u0661h", "1w", "9999999h"]
)
def test_nothing_else_is_a_lifetime(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration("1h", "90d", hours=True).convert(text, None, None)


@pytest.mark.parametrize(
    ("typed", "made"),
    [
        (["short", PASSPHRASE, "other", PASSPHRASE, PASSPHRASE], True),
        (["short", "brief", "tiny"], False),
    ],
)
def test_at_a_terminal_a_new_passphrase_may_be_typed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], *, made: bool
) -> None:
    answers = iter(typed)
    monkeypatch.setattr(Ui, "ask_secret", lambda *_: next(answers))
    monkeypatch.setattr(Ui, "can_ask", True)
    app = App()
    app.flags["home"] = str(tmp_path / "home")
    if made:
        app.make_vault()
    else:
        with pytest.raises(Locked, match="at least 8"):
            app.make_vault()
    assert app.profile.has_vault is made
    assert next(answers, None) is None
