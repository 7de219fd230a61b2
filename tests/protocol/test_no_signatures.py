"""Attack 22: a signature slips in. Nothing here can sign, so nothing here can be made to."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = [ROOT / tree / "backchannel" for tree in ("protocol", "server", "client")]
FILES = sorted(file for tree in TREES for file in tree.rglob("*.py"))
ALGORITHMS = {"dsa", "ec", "ed25519", "ed448", "mldsa", "rsa", "slhdsa"}
MODULES = {f"cryptography.hazmat.primitives.asymmetric.{name}" for name in ALGORITHMS}
MODULES |= {"nacl.signing", "nacl.bindings.crypto_sign"}
WORDS = ("crypto_sign", "signingkey", "verifykey", "ed25519", "ed448", "mldsa", "slhdsa")


def names(tree: ast.AST) -> Iterator[str]:
    """Every imported module and name, every attribute and name in an expression."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


def signs(name: str) -> bool:
    dotted = any(name == module or name.startswith(f"{module}.") for module in MODULES)
    return dotted or any(word in name.lower() for word in WORDS)


def of_source(source: str) -> list[str]:
    return [name for name in names(ast.parse(source)) if signs(name)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_attack_22_no_file_names_a_signature_primitive(file: Path) -> None:
    assert of_source(file.read_text("utf-8")) == []


def test_attack_22_the_protocol_is_among_the_files() -> None:
    assert ROOT / "protocol" / "backchannel" / "protocol" / "primitives.py" in FILES


@pytest.mark.parametrize(
    "source",
    [
        "import nacl.signing",
        "from nacl import signing",
        "from nacl.signing import SigningKey as S",
        "from nacl import bindings as b\nb.crypto_sign(m, k)",
        "from cryptography.hazmat.primitives.asymmetric import ec",
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as P",
        "from cryptography.hazmat.primitives.asymmetric import rsa as r",
        "import cryptography.hazmat.primitives.asymmetric.mldsa",
    ],
)
def test_attack_22_the_walk_would_see_one(source: str) -> None:
    assert of_source(source)


HELD = """
import importlib, pkgutil, sys
import backchannel.protocol as package
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
for name, module in sorted(sys.modules.items()):
    if name.startswith("backchannel."):
        for key, value in vars(module).items():
            print(name, key, getattr(value, "__module__", None) or getattr(value, "__name__", ""))
"""


def test_attack_22_no_loaded_module_of_the_protocol_holds_one() -> None:
    """In a fresh interpreter: what the modules hold in the end, by whatever way it came there."""
    run = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in run.stdout.splitlines()]
    assert ["backchannel.protocol.primitives", "hmac", "hmac"] in rows
    assert [row for row in rows if len(row) == 3 and signs(row[2])] == []
