"""The README shows the help that the program prints."""

import os
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_readme_shows_the_help_of_the_program() -> None:
    program = Path(sys.executable).with_name("backchannel")
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    shown = subprocess.run([program, "--help"], capture_output=True, check=True, env=environment)
    assert shown.stdout.decode() in README.read_text("utf-8")
