"""What a wheel holds: three packages and their migrations; for each program only what it needs."""

from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return ZipFile(path)


@pytest.fixture(scope="module")
def names(wheel: ZipFile) -> list[str]:
    return wheel.namelist()


def dist_info(wheel: ZipFile, name: str) -> bytes:
    (path,) = (entry for entry in wheel.namelist() if entry.endswith(f".dist-info/{name}"))
    return wheel.read(path)


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    return message_from_bytes(dist_info(wheel, "METADATA"))


def installed_with(metadata: Message, extra: str) -> set[str]:
    """The projects that `pip install backchannel[extra]` asks for by name; "" for no extra."""
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return {
        requirement.name.lower()
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    }


@pytest.mark.parametrize("package", ["protocol", "client", "server"])
def test_wheel_holds_the_package(names: list[str], package: str) -> None:
    assert f"backchannel/{package}/__init__.py" in names


def test_wheel_holds_the_relay_migrations(names: list[str]) -> None:
    assert "backchannel/server/migrations/env.py" in names
    versions = PurePosixPath("backchannel/server/migrations/versions")
    assert any(PurePosixPath(name).parent == versions for name in names)


def test_wheel_holds_the_vault_migrations(names: list[str]) -> None:
    folder = PurePosixPath("backchannel/client/migrations")
    assert any(
        path.parent == folder and path.suffix == ".sql" for path in map(PurePosixPath, names)
    )


def test_wheel_holds_nothing_else(names: list[str]) -> None:
    homes = {"/".join(name.split("/")[:2]) for name in names if ".dist-info/" not in name}
    assert homes == {"backchannel/protocol", "backchannel/client", "backchannel/server"}
    assert not {"tests", "conftest.py", "__pycache__"} & {
        part for name in names for part in name.split("/")
    }


def test_wheel_carries_the_licence(wheel: ZipFile) -> None:
    assert dist_info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_wheel_installs_two_programs(wheel: ZipFile) -> None:
    lines = dist_info(wheel, "entry_points.txt").decode().splitlines()
    programs = {line.partition(" = ")[0] for line in lines if " = " in line}
    assert programs == {"backchannel", "backchannel-relay"}


def test_base_needs_only_what_the_protocol_needs(metadata: Message) -> None:
    assert installed_with(metadata, "") == {"cryptography", "mnemonic", "msgspec", "pynacl"}


def test_a_participants_laptop_installs_no_web_server(metadata: Message) -> None:
    client = installed_with(metadata, "client")
    assert {"httpcore", "sqlcipher3"} <= client
    assert not client & {
        "alembic",
        "fastapi",
        "httpx",
        "socksio",
        "pydantic-settings",
        "sqlalchemy",
        "uvicorn",
    }


def test_a_relay_installs_no_vault_and_no_screen(metadata: Message) -> None:
    relay = installed_with(metadata, "relay")
    assert {"fastapi", "uvicorn"} <= relay
    assert not relay & {"httpcore", "httpx", "segno", "sqlcipher3", "textual"}


@pytest.mark.parametrize(
    "folder",
    [
        "protocol",
        "protocol/backchannel",
        "client",
        "client/backchannel",
        "server",
        "server/backchannel",
        "migrations",
        "tests",
    ],
)
def test_no_package_file_hides_the_other_roots(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()
