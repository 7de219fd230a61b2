"""The image and the compose files: what a relay in a container may do, and that what is installed
there is enough. No container engine is needed: the steps are done by hand.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from backchannel.server.settings import Settings
from tests.deploy.programs import DEPLOY

CONTAINER = DEPLOY / "container"
DOCKERFILE = CONTAINER / "Dockerfile"
ROOT = DEPLOY.parents[1]
_PINNED = re.compile(r":\d+\.\d+(\.\d+)?(-[a-z]+)*$")


def instructions() -> list[tuple[str, str]]:
    """As a builder reads them: comments gone, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def compose(*names: str) -> dict[str, Any]:
    """The services, as compose puts the files together for what these say."""
    merged: dict[str, Any] = {}
    for name in names:
        for service, said in yaml.safe_load((CONTAINER / name).read_text())["services"].items():
            before = merged.setdefault(service, {})
            for key, value in said.items():
                old = before.get(key)
                before[key] = [*old, *value] if isinstance(old, list) else value
    return merged


def test_each_base_is_of_one_version() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(set(bases)) == 1, "what is built runs on what it was built on"
    assert all(_PINNED.search(base) for base in bases)


def test_nothing_comes_from_elsewhere_by_stealth() -> None:
    for word, rest in instructions():
        assert word != "ADD", "it fetches and unpacks"
        assert not re.search(r"curl|wget|apt-get|sudo|chmod 777|http://|https://", rest)


def test_the_relay_is_not_root_and_has_no_way_to_install() -> None:
    last = stages()[-1]
    words = [word for word, _ in last]
    (user,) = (rest for word, rest in last if word == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "numbers: an engine can check them"
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in {"RUN", "COPY"})
    assert any("pip uninstall" in rest for word, rest in last if word == "RUN")
    assert not any("pip install" in rest for _, rest in last)
    assert ("COPY", "--from=build /opt/backchannel /opt/backchannel") in last


def test_it_is_started_without_a_shell_and_asked_how_it_is() -> None:
    told = dict(stages()[-1])
    assert told["CMD"].startswith("[")
    assert "CMD [" in told["HEALTHCHECK"]
    assert "0" in told["CMD"], "no voucher reaches the log of an engine"


def test_the_version_is_this_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert compose("compose.yaml")["relay"]["image"] == f"backchannel-relay:{version}"


def test_only_what_the_build_needs_is_sent_to_it() -> None:
    ignored = (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    sent = {line[1:].split("/")[0] for line in ignored if line.startswith("!")}
    copied = " ".join(rest for word, rest in stages()[0] if word == "COPY").split()
    assert sent == {name for name in copied if name != "./"}


@pytest.mark.parametrize("names", [["compose.yaml"], ["compose.yaml", "compose.postgres.yaml"]])
def test_each_service_may_do_little(names: list[str]) -> None:
    for name, service in compose(*names).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["user"].split(":")[0]) > 0, name
        assert "privileged" not in service, name
        assert service["mem_limit"] == service["memswap_limit"], "nothing of it is swapped"
        assert service["ulimits"]["core"] == 0, name
        assert service["pids_limit"] <= 256, name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert _PINNED.search(service["image"]), name
        for mount in service["volumes"]:
            assert not mount.startswith("/"), "a named volume, or a file of ours"
            assert mount.endswith(":ro") or not mount.startswith("."), name


def test_the_relay_is_reached_from_this_machine_only() -> None:
    for port in compose("compose.yaml", "compose.postgres.yaml")["relay"]["ports"]:
        assert port.startswith("127.0.0.1:")
    postgres = compose("compose.postgres.yaml")["postgres"]
    assert postgres["network_mode"] == "none"
    assert "ports" not in postgres


def test_what_compose_tells_the_relay_is_a_setting() -> None:
    said = compose("compose.postgres.yaml")["relay"]["environment"]
    chosen = {key.removeprefix("BACKCHANNEL_RELAY_").lower(): said[key] for key in said}
    assert set(chosen) <= set(Settings.model_fields)
    assert Settings.model_validate(chosen).workers == 2


def test_the_healthcheck_of_file_and_image_are_one() -> None:
    (image,) = (rest for word, rest in stages()[-1] if word == "HEALTHCHECK")
    test = compose("compose.yaml")["relay"]["healthcheck"]["test"]
    assert all(word in image for word in test[1:])


@pytest.mark.slow
def test_what_the_image_installs_serves_without_pip(tmp_path: Path) -> None:
    """The build's own steps, with this machine's Python and the packages that are here already."""
    place = tmp_path / "backchannel"
    run = [rest for word, rest in stages()[0] if word == "RUN"]
    assert "venv --without-pip /opt/backchannel" in run[0]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    source = tmp_path / "source"
    for name in ("protocol", "client", "server", "migrations"):
        ignore = shutil.ignore_patterns("__pycache__", "deploy")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "--quiet"]
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", str(source)]
    wheel = [sys.executable, "-m", "pip", "--quiet", "wheel", *install[1:], "-w", str(tmp_path)]
    subprocess.run(wheel, check=True, capture_output=True, timeout=300)
    (made,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(made)], check=True, timeout=300)
    borrowed = next(path for path in sys.path if path.endswith("site-packages"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = place / "lib" / version / "site-packages"
    for package in Path(borrowed).iterdir():
        if not (own / package.name).exists() and "backchannel" not in package.name:
            (own / package.name).symlink_to(package)
    (own / "pip").unlink(missing_ok=True)
    (command,) = (rest for word, rest in stages()[-1] if word == "CMD")
    serve_as_the_image_does(place, shlex.split(command.strip("[]").replace(",", " ")), tmp_path)


def serve_as_the_image_does(place: Path, command: list[str], folder: Path) -> None:
    environment = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "BACKCHANNEL_RELAY_DATA": str(folder / "data"),
        "BACKCHANNEL_RELAY_HOST": "0.0.0.0",  # noqa: S104 - as in the image
        "BACKCHANNEL_RELAY_PORT": "0",
    }
    program = [str(place / "bin" / command[0]), *command[1:]]
    with subprocess.Popen(
        program, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("listening on http://0.0.0.0:")
            health = [str(place / "bin/backchannel-relay"), "health"]
            assert subprocess.run(health, env=environment, check=False).returncode == 0
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
