"""A command in a fork is told and leaves what a process of its own is told and leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import forks
from tests.support.people import PROGRAM

pytestmark = pytest.mark.system

TELLS = """
import atexit, json, os, signal, sys
atexit.register(print, "ended", file=sys.stderr)
here = [sys.argv, os.getcwd(), sorted(os.environ.items()), os.getsid(0) == os.getpid()]
how = [signal.getsignal(each) is signal.SIG_DFL for each in (signal.SIGTERM, signal.SIGCHLD)]
print(json.dumps([here, how, sys.stdin.read(), __name__, sys.stdout.isatty()]), end="\\r\\n")
sys.exit(7)
"""
ENDS = {
    "well": "print('x' * 200_000)",
    "badly": "raise SystemExit('no')",
    "by a signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "silent": "import os; os.close(1); os.close(2)",
    "it tells": TELLS,
}


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_as_a_whole_program_does(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, env = [sys.executable, "-c", ENDS[how], "one", "--two"], {"LC_CTYPE": "C.UTF-8"}
    whole = subprocess.run(
        command, env=env, input="given\n", capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    fork = forks.run(command, env=env, give="given\n", timeout=60)
    assert (fork.returncode, fork.stdout, fork.stderr) == (
        whole.returncode,
        whole.stdout,
        whole.stderr,
    )


def test_one_command_leaves_nothing_to_the_next() -> None:
    def said(code: str) -> str:
        return forks.run([sys.executable, "-c", code], env={}, give="", timeout=60).stdout

    said("import os, sys; os.environ['LEFT'] = '1'; sys.left = 1; os.umask(0)")
    shown = said("import os, sys; print(dict(os.environ), hasattr(sys, 'left'), os.umask(0) > 0)")
    assert shown == "{} False True\n"


def test_it_is_a_process_whose_end_is_waited_for_no_longer_than_was_said() -> None:
    code = "import time; time.sleep(600)"
    with pytest.raises(subprocess.TimeoutExpired):
        forks.run([sys.executable, "-c", code], env={}, give="", timeout=0.2)


def test_the_client_runs_in_it(tmp_path: Path) -> None:
    command = [*PROGRAM, "--home", str(tmp_path), "read", "--json"]
    whole = subprocess.run(command, capture_output=True, text=True, check=False)
    fork = forks.run(command, env={}, give="", timeout=60)
    assert (fork.returncode, fork.stderr) == (whole.returncode, whole.stderr)
    assert fork.returncode
