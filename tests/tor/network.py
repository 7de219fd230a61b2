"""A whole Tor network on loopback: authorities, relays, a client, and an onion service that runs by
the file which operators are given.

Owns its processes and folders. Asks nothing outside this machine: each tor knows the authorities
made here and no others.
"""

import contextlib
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.programs import DEPLOY, program
from tests.support.relay import until

AUTHORITIES, RELAYS = 3, 4
PATIENCE = 180.0  # seconds until the first circuits stand
SHIPPED = DEPLOY / "onion/torrc"
_EVERY = """
TestingTorNetwork 1
AssumeReachable 1
ShutdownWaitLength 0
Log notice file {folder}/log
DataDirectory {folder}
ControlPort unix:{folder}/control
CookieAuthentication 0
"""
_RELAY = """
Nickname {name}
Address 127.0.0.1
OrPort 127.0.0.1:{port}
SocksPort 0
ExitPolicy reject *:*
"""
_AUTHORITY = """
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
DirPort 127.0.0.1:{directory_port}
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingV3AuthInitialVotingInterval 10
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
TestingAuthDirTimeToLearnReachability 0
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
"""
_CLIENT = "SocksPort 127.0.0.1:{port}\n"
_NO_SYSTEM = ("--defaults-torrc", "/none", "--ignore-missing-torrc")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@dataclass
class Node:
    """One tor."""

    name: str
    folder: Path
    lines: str
    port: int = field(default_factory=_free_port)
    """Of relays to one another; of the client for programs."""
    directory_port: int = field(default_factory=_free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.folder.mkdir(0o700)

    def start(self, directory: str) -> None:
        """With the authorities of `directory` alone."""
        torrc = self.folder / "torrc"
        torrc.write_text((_EVERY + self.lines).format(**vars(self)) + directory)
        with (self.folder / "said").open("wb") as said:
            command = [program("tor"), *_NO_SYSTEM, "-f", str(torrc)]
            self.process = subprocess.Popen(command, stdout=said, stderr=said)

    def stop(self) -> None:
        """At once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it has circuits."""
        return "PROGRESS=100" in self.ask("GETINFO status/bootstrap-phase")

    def ask(self, question: str) -> str:
        """What its control port answers to one line."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
            control.connect(str(self.folder / "control"))
            control.sendall(f"AUTHENTICATE\r\n{question}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: control.recv(65_536), b"")).decode()


def _checked(*command: str, **more: Any) -> str:
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command, capture_output=True, check=False, **more
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode()


def _introduced(node: Node) -> str:
    """An authority's keys are made; the line by which all know it."""
    keys = node.folder / "keys"
    keys.mkdir(0o700)
    place = f"127.0.0.1:{node.directory_port}"
    _checked(
        program("tor-gencert"), "--create-identity-key", "-m", "12", "-a", place,
        "-i", f"{keys}/authority_identity_key", "-s", f"{keys}/authority_signing_key",
        "-c", f"{keys}/authority_certificate", "--passphrase-fd", "0", input=b"nobodys\n",
    )  # fmt: skip
    said = _checked(
        program("tor"), "--list-fingerprint", "--quiet", *_NO_SYSTEM, "-f", "/none",
        "--orport", "1", "--datadirectory", str(node.folder),
        "--dirserver", f"none 127.0.0.1:1 {'f' * 40}",
    )  # fmt: skip
    relay = "".join(said.split()[1:])
    certificate = (keys / "authority_certificate").read_text()
    found = re.search(r"^fingerprint (\w+)$", certificate, re.MULTILINE)
    assert found is not None
    flags = f"orport={node.port} no-v2 v3ident={found[1]}"
    return f"DirAuthority {node.name} {flags} {place} {relay}\n"


@dataclass
class Network:
    """All of it."""

    folder: Path
    directory: str
    nodes: list[Node]
    client: Node

    @property
    def proxy(self) -> str:
        """For `--proxy`."""
        return f"socks5h://127.0.0.1:{self.client.port}"

    def onion(self, target: str) -> str:
        """The address of a new onion service, by the file that operators are given; `target` is
        where its port 80 leads.
        """
        name = f"onion{len(self.nodes)}"
        lines = SHIPPED.read_text().replace("/var/lib/tor/backchannel-relay", "{folder}/service")
        lines = lines.replace("unix:/run/backchannel-relay/relay.sock", target)
        node = Node(name, self.folder / name, lines.replace("Log notice syslog\n", ""))
        self.nodes.append(node)
        node.start(self.directory)
        host = node.folder / "service/hostname"
        self.wait(lambda: host.exists() and node.ready)
        return f"http://{host.read_text().strip()}"

    def wait(self, what: Any) -> None:
        """Until it is so; fails where a tor has ended."""
        for _ in until(PATIENCE):
            for node in self.nodes:
                assert node.running, (node.name, (node.folder / "said").read_text()[-500:])
            with contextlib.suppress(OSError):
                if what():
                    return


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """It runs, and the client has circuits."""
    with tempfile.TemporaryDirectory(prefix="tor-") as name:
        folder = Path(name)
        named = [f"authority{n}" for n in range(AUTHORITIES)]
        authorities = [Node(each, folder / each, _RELAY + _AUTHORITY) for each in named]
        directory = "".join(map(_introduced, authorities))
        relays = [Node(f"relay{n}", folder / f"relay{n}", _RELAY) for n in range(RELAYS)]
        client = Node("client", folder / "client", _CLIENT)
        made = Network(folder, directory, [*authorities, *relays, client], client)
        try:
            for node in list(made.nodes):
                node.start(directory)
            made.wait(lambda: client.ready)
            yield made
        finally:
            for node in made.nodes:
                node.stop()
