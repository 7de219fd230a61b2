"""The README shows the help that the programs print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("name", ["backchannel", "backchannel-relay"])
def test_readme_shows_the_help_of_the_program(name: str) -> None:
    program = Path(sys.executable).with_name(name)
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    shown = subprocess.run([program, "--help"], capture_output=True, check=True, env=environment)
    assert shown.stdout.decode() in README.read_text("utf-8")
