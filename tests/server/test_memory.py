"""Attack class 35: a relay that crashes leaves no image of its keys."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.relay import RelayProcess

_PR_GET_DUMPABLE = 3


def test_attack_35_a_running_relay_dumps_no_core(process: RelayProcess) -> None:
    assert process.process is not None
    limits = Path(f"/proc/{process.process.pid}/limits")
    if not limits.exists():
        pytest.skip("needs /proc")
    (line,) = (line for line in limits.read_text().splitlines() if "core file" in line)
    assert line.split()[4:6] == ["0", "0"]


def test_attack_35_nobody_else_looks_into_it() -> None:
    if not hasattr(ctypes.CDLL(None), "prctl"):
        pytest.skip("needs prctl")
    code = "import ctypes; from backchannel.server.process.memory import harden; harden(); "
    code += f"print(ctypes.CDLL(None).prctl({_PR_GET_DUMPABLE}, 0, 0, 0, 0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
