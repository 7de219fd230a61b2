"""What documents name as their evidence: tests by node id, models by file.

Of a document's form it knows the backticks around a citation and nothing else. Tests are found by
reading the files, not by running anything.
"""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CITATION = re.compile(r"`((?:tests|protocol/model)/[\w./-]+(?:::\w+)*)`")


def cited(text: str) -> list[str]:
    """Every citation in a text, in its order."""
    return _CITATION.findall(text)


def exists(citation: str) -> bool:
    """Whether there is such a test, or such a file."""
    path, _, name = citation.partition("::")
    if name:
        return (ROOT / path).is_file() and name in tests_in(ROOT / path)
    return (ROOT / path).exists()


def all_tests() -> set[str]:
    """The node ids of all tests, without parameters."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return {f"{path.relative_to(ROOT)}::{name}" for path in paths for name in tests_in(path)}


@cache
def tests_in(path: Path) -> frozenset[str]:
    """The names under which pytest collects the tests of a file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = (each.name for each in node.body if isinstance(each, ast.FunctionDef))
            found.update(f"{node.name}::{name}" for name in methods if name.startswith("test_"))
        elif isinstance(node, ast.Assign):  # TestLine = Line.TestCase, of a state machine
            names = (each.id for each in node.targets if isinstance(each, ast.Name))
            found.update(f"{name}::runTest" for name in names if name.startswith("Test"))
    return frozenset(each for each in found if each.startswith(("test_", "Test")))
