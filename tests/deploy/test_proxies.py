"""The proxies' configurations, in front of a real relay: a whole conversation by TLS, and nothing
of it written down.
"""

import contextlib
import dataclasses
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backchannel.protocol import limits
from backchannel.protocol.drop import Operation
from backchannel.protocol.primitives import X25519Public
from backchannel.server.limits import BODY
from tests.deploy.programs import DEPLOY, program
from tests.server.certificates import make_certificate
from tests.support.relay import DropClient, RelayProcess, noise, until

pytestmark = pytest.mark.slow

CONFIGURATIONS = DEPLOY / "proxy"
_ACTIVATE = (
    "import os, sys; os.dup2(int(sys.argv.pop(1)), 3); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
    "from backchannel.server.cli import main; main()"
)


@dataclass
class Site:
    """Where everything is on this machine, instead of where it is on an operator's."""

    folder: Path
    port: int
    relay: Path
    certificate: Path
    key: Path
    public: Path

    def put(self, name: str, *changes: tuple[str, str]) -> Path:
        """A configuration as it stands, but for what an operator changes too."""
        text = (CONFIGURATIONS / name).read_text()
        for before, after in (("/run/backchannel-relay/relay.sock", str(self.relay)), *changes):
            assert before in text, f"{name} has no {before!r}"
            text = text.replace(before, after)
        file = self.folder / name
        file.write_text(text)
        return file


Configured = Callable[[Site], list[str]]
"""Puts a proxy's configuration in place; the command that runs it."""


def nginx(site: Site) -> list[str]:
    included = site.put(
        "nginx.conf",
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{site.port} ssl http2;"),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("server_name relay.example", "server_name localhost"),
        ("/etc/letsencrypt/live/relay.example/fullchain.pem", str(site.certificate)),
        ("/etc/letsencrypt/live/relay.example/privkey.pem", str(site.key)),
        ("/srv/backchannel-public", str(site.public)),
    )
    user = "user root;" if os.geteuid() == 0 else ""
    own = "".join(f"{each}_temp_path {site.folder}/temp;\n" for each in _NGINX_TEMP)
    whole = site.folder / "main.conf"
    whole.write_text(
        f"{user} daemon off; pid {site.folder}/pid; error_log {site.folder}/log info;\n"
        f"events {{}}\nhttp {{ access_log {site.folder}/access;\n{own} include {included}; }}\n"
    )
    checked([program("nginx"), "-t", "-c", str(whole), "-e", str(site.folder / "log")])
    return [program("nginx"), "-c", str(whole), "-e", str(site.folder / "log")]


_NGINX_TEMP = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def haproxy(site: Site) -> list[str]:
    both = site.folder / "relay.pem"
    both.write_text(site.certificate.read_text() + site.key.read_text())
    file = site.put(
        "haproxy.cfg",
        ("    user haproxy\n", ""),
        ("    group backchannel-proxy               # who may connect to the relay's socket\n", ""),
        ("bind :443", f"bind 127.0.0.1:{site.port}"),
        ("    bind [::]:443 v6only ssl crt /etc/haproxy/relay.pem alpn h2,http/1.1\n", ""),
        ("/etc/haproxy/relay.pem", str(both)),
        ("/srv/backchannel-public", str(site.public)),
        ("maxconn 16384", "maxconn 100"),
    )
    checked([program("haproxy"), "-c", "-f", str(file)])
    return [program("haproxy"), "-db", "-f", str(file)]


def caddy(site: Site) -> list[str]:
    file = site.put(
        "Caddyfile",
        ("\tadmin off\n", "\tadmin off\n\tauto_https disable_redirects\n"),
        ("relay.example {", f"https://localhost:{site.port} {{\n\tbind 127.0.0.1"),
        ("\ttls {", f"\ttls {site.certificate} {site.key} {{"),
        ("/srv/backchannel-public", str(site.public)),
    )
    checked([program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(file)])
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(file)]


def checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "[warn]" not in said
    assert "[WARNING]" not in said


@dataclass
class Front:
    """A proxy at work before a relay."""

    url: str
    http: httpx.Client
    relay: RelayProcess
    folder: Path

    def another(self) -> httpx.Client:
        """One that speaks HTTP/1.1, over a connection of its own."""
        return httpx.Client(verify=trusting(self.folder), trust_env=False, timeout=90)

    def client(self) -> DropClient:
        """With a drop, and the proxy as all that it knows."""
        key = self.http.get(f"{self.url}/v1/relay").json()["static_key"]
        client = DropClient(self.http, X25519Public(bytes.fromhex(key)), self.url)
        client.create(self.relay.voucher())
        return client


PROXIES = pytest.mark.parametrize("configured", [nginx, haproxy, caddy])


@contextlib.contextmanager
def proxied(configured: Configured, folder: Path, listener: socket.socket) -> Iterator[str]:
    """The proxy at work before what listens on that file; its URL."""
    program(configured.__name__)
    certificate, key = make_certificate(folder)
    shutil.copytree(DEPLOY / "public", folder / "public")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    relay = Path(listener.getsockname())
    site = Site(folder, port, relay, certificate, key, folder / "public")
    environment = {**os.environ, "HOME": str(folder)}
    command = configured(site)
    with (folder / "said").open("wb") as said:
        proxy = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
    try:
        for _ in until(60):
            assert proxy.poll() is None, (folder / "said").read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
        yield f"https://localhost:{port}"
    finally:
        proxy.terminate()
        proxy.wait(60)


@pytest.fixture(scope="module", params=[nginx, haproxy, caddy], ids=lambda made: made.__name__)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    relay = RelayProcess.make(folder / "relay")
    with file_socket(folder) as listener:
        activated = (sys.executable, "-c", _ACTIVATE, str(listener.fileno()))
        relay.start(program=activated, pass_fds=[listener.fileno()])
        try:
            with (
                proxied(request.param, folder, listener) as url,
                httpx.Client(
                    verify=trusting(folder), http2=True, trust_env=False, timeout=90
                ) as http,
            ):
                yield Front(url, http, relay, folder)
        finally:
            relay.stop()


@contextlib.contextmanager
def file_socket(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "relay.sock"))
        listener.listen()
        yield listener


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


def test_a_whole_conversation_goes_through(front: Front) -> None:
    client = front.client()
    blocks = noise(limits.MOST_BLOCKS)
    assert len(client.append(*blocks)) == limits.MOST_BLOCKS
    assert [row.block for row in client.read().rows] == blocks
    client.seal()
    client.delete()


def test_the_largest_bodies_go_through_both_ways(front: Front) -> None:
    """Appending sends the largest, and reading it back receives a larger one."""
    client = front.client()
    for _ in range(8):
        client.append(*noise(limits.MOST_BLOCKS))
    page = client.read()
    assert len(page.rows) == limits.MOST_BLOCKS
    assert page.more


def test_a_reader_waits_and_is_woken(front: Front) -> None:
    client = front.client()
    found: list[int] = []
    with front.another() as http:
        reader = dataclasses.replace(client, http=http)
        waiting = threading.Thread(target=lambda: found.append(len(reader.read(wait=60).rows)))
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive()
        client.append(*noise())
        waiting.join(60)
    assert found == [1]


def test_waits_are_allowed_to_be_as_long_as_clients_make_them() -> None:
    for name, setting in (
        ("nginx.conf", "proxy_read_timeout 70s"),
        ("haproxy.cfg", "timeout server 70s"),
        ("haproxy.cfg", "timeout client 70s"),
        ("Caddyfile", "response_header_timeout 70s"),
    ):
        assert setting in (CONFIGURATIONS / name).read_text()
    assert limits.MOST_WAIT < 70


def test_nobody_is_refused_while_the_relay_begins_anew(front: Front) -> None:
    client = front.client()
    ended = threading.Event()
    troubles: list[Exception] = []
    sent: list[bytes] = []

    def write() -> None:
        while not ended.is_set():
            (block,) = noise()
            try:
                client.append(block)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is trouble
                troubles.append(error)
                return
            sent.append(block)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(2):
        before = len(sent)
        front.relay.begin_anew()
        for _ in until(60):
            if len(sent) > before or troubles:
                break
    ended.set()
    writer.join()
    assert troubles == []


def test_attack_51_more_than_the_largest_body_is_refused_by_the_proxy(front: Front) -> None:
    body = bytes(BODY[Operation.APPEND] + 65_536)
    with front.another() as http:
        assert http.post(f"{front.url}/v1/append", content=body).status_code == 413


def test_attack_55_nobody_writes_down_who_asked(front: Front) -> None:
    """Neither good requests nor bad ones, in the proxy's files, its words or its folders."""
    client = front.client()
    client.append(*noise())
    marked = {"user-agent": "canary-agent", "referer": "http://canary.example/"}
    for path in ("/", "/none", "/v1/none", "/v1/relay"):
        front.http.get(front.url + path, headers=marked)
    with socket.create_connection(("127.0.0.1", int(front.url.rpartition(":")[2]))) as rude:
        rude.sendall(b"canary nonsense\r\n\r\n")
        rude.recv(100)
    aside = {"said", "log", "relay.log"}
    written = [file for file in front.folder.rglob("*") if file.name in aside]
    for file in written:
        text = file.read_bytes()
        assert b"canary" not in text
        assert b"/v1/" not in text
        assert client.drop.hex().encode() not in text
    for name in ("access", "access.log"):
        file = front.folder / name
        assert not file.exists() or not file.read_bytes()
    assert not any((front.folder / "temp").rglob("*"))


@PROXIES
def test_attack_55_the_relay_is_not_told_who_asks(configured: Configured, tmp_path: Path) -> None:
    """Neither from where nor with what program: the proxy adds nothing, and hands on little."""
    heard: list[bytes] = []

    def listen() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65_536))
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    with file_socket(tmp_path) as listener, proxied(configured, tmp_path, listener) as url:
        upstream = threading.Thread(target=listen)
        upstream.start()
        marked = {"user-agent": "canary", "cookie": "canary=1", "x-forwarded-for": "canary"}
        with httpx.Client(verify=trusting(tmp_path), trust_env=False) as http:
            assert http.get(f"{url}/v1/relay", headers=marked).status_code == 200
        upstream.join()
    (head,) = heard
    assert head.startswith(b"GET /v1/relay HTTP/1.1\r\n")
    for told in (b"canary", b"127.0.0.1", b"forwarded-for", b"real-ip", b"via:"):
        assert told not in head.lower().replace(b"host: 127.0.0.1", b"")


def test_only_tls_1_3_is_spoken(front: Front) -> None:
    context = trusting(front.folder)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    address = ("localhost", int(front.url.rpartition(":")[2]))
    with (
        socket.create_connection(address) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_the_public_page_says_who_runs_it(front: Front) -> None:
    page = front.http.get(front.url + "/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    assert "Who runs it" in page.text
    assert page.http_version == "HTTP/2"
    told = front.http.get(front.url + "/.well-known/security.txt")
    assert told.status_code == 200
    assert "Contact:" in told.text
