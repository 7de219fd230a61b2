"""Mutation testing with mutmut: `python -m tests.mutation.run [MODULE …]`, slow on purpose.

The project's three source folders share one package, which mutmut does not expect: so the tree is
laid out anew in a folder of work, as one `src`, and mutated there. Survivors stand in
tests/mutation/README.md with their reasons.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ("intro", "line", "sender_key", "block", "codec", "expiry")
_MORE = ("ratchet", "core", "chain", "vectors")
"""Tests of what the modules stand on, and of what they are to other implementations."""
_IGNORED = shutil.ignore_patterns("__pycache__", "corpus")
_CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = [{mutated}]
also_copy = ["protocol"]
pytest_add_cli_args = ["-n0", "-pno:cacheprovider", "-pno:cov", "-ptests.mutation.fresh"]
pytest_add_cli_args_test_selection = [{tests}]
use_git_change_detection = false
"""


def lay_out(work: Path, modules: tuple[str, ...]) -> None:
    """One `src` with all of the package, the tests, and what both read."""
    for tree in ("protocol", "server", "client"):
        shutil.copytree(
            ROOT / tree / "backchannel",
            work / "src" / "backchannel",
            ignore=_IGNORED,
            dirs_exist_ok=True,
        )
    shutil.copytree(ROOT / "tests", work / "tests", ignore=_IGNORED)
    (work / "protocol").mkdir()
    for each in ("SPEC.md", "THREATS.md"):
        shutil.copy(ROOT / "protocol" / each, work / "protocol")
    mutated = [f"src/backchannel/protocol/{module}.py" for module in modules]
    tests = [f"tests/protocol/test_{module}.py" for module in (*modules, *_MORE)]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    config = _CONFIG.format(mutated=_listed(mutated), tests=_listed(tests))
    (work / "pyproject.toml").write_text(project + config, "utf-8")


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def main(modules: tuple[str, ...]) -> int:
    """mutmut's own results on standard output; the folder of work is left to look into."""
    work = Path(tempfile.mkdtemp(prefix="mutation-"))
    lay_out(work, modules or MODULES)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    subprocess.run(command, cwd=work, env=environment, check=False)
    command = [sys.executable, "-m", "mutmut", "results"]
    done = subprocess.run(command, cwd=work, env=environment, check=False)
    print(f"to look at one: cd {work} && {sys.executable} -m mutmut show NAME")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
