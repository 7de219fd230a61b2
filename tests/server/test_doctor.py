"""What doctor says of certificate, machine and the way from outside, each with how to mend it."""

import http.server
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from backchannel.protocol.primitives import x25519_public
from backchannel.server.errors import Doubt, OperatorError
from backchannel.server.home import Home
from backchannel.server.operate import doctor, machine
from backchannel.server.operate.doctor import Finding, examine
from backchannel.server.operate.reach import reach
from tests.server.certificates import make_certificate, make_expired_certificate
from tests.support.relay import RelayProcess, run

DAY = 86_400


def finding(home: Home, name: str, url: str | None = None) -> Finding:
    (found,) = (found for found in examine(home, url) if found.name == name)
    return found


def configure(home: Home, certificate: Path, key: Path) -> None:
    home.config.write_text(f"port = 0\ntls_cert = '{certificate}'\ntls_key = '{key}'\n")


def test_a_good_certificate_has_its_days_counted(home: Home, tmp_path: Path) -> None:
    configure(home, *make_certificate(tmp_path, days=30))
    found = finding(home, "certificate")
    assert (found.ok, found.next) == (True, "")
    assert found.detail in {"good for 29 days", "good for 30 days"}


def test_a_certificate_that_ends_soon_is_doubted(home: Home, tmp_path: Path) -> None:
    configure(home, *make_certificate(tmp_path, days=3))
    found = finding(home, "certificate")
    assert found.ok
    assert "renew" in found.next


def test_a_certificate_that_is_over_is_found(home: Home, tmp_path: Path) -> None:
    configure(home, *make_expired_certificate(tmp_path))
    found = finding(home, "certificate")
    assert (found.ok, found.detail) == (
        False,
        "clients refuse the TLS certificate: certificate has expired",
    )


def test_a_certificate_of_another_key_is_found(home: Home, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    certificate, _ = make_certificate(tmp_path / "one")
    _, key = make_certificate(tmp_path / "two")
    configure(home, certificate, key)
    found = finding(home, "certificate")
    assert not found.ok
    assert "tls_key" in found.next


def test_a_certificate_that_is_not_there_is_found(home: Home, tmp_path: Path) -> None:
    configure(home, tmp_path / "cert.pem", tmp_path / "key.pem")
    found = finding(home, "certificate")
    assert not found.ok
    assert "cert.pem cannot be read" in found.detail
    assert "tls_cert" in found.next


def test_expiry_that_is_late_is_found(home: Home) -> None:
    assert finding(home, "expiry").ok
    RelayProcess(home.path).move_clock(3)
    assert "is off" in finding(home, "expiry").detail
    home.address.write_text("http://127.0.0.1:9\n")  # of a relay that runs, and hangs
    found = finding(home, "expiry")
    assert (found.ok, found.detail) == (
        False,
        "keys of what has ended were last destroyed 3 hours ago",
    )
    assert "restart" in found.next


def test_a_store_of_a_newer_program_is_found(home: Home) -> None:
    assert finding(home, "database").detail == "sound"
    with closing(sqlite3.connect(home.database)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    found = finding(home, "database")
    assert not found.ok
    assert "newer" in found.detail


def test_without_tls_nothing_is_missing(home: Home) -> None:
    assert finding(home, "certificate") == Finding(
        "certificate", ok=True, detail="none here: a proxy has it, or nobody"
    )


@pytest.mark.parametrize(("status", "kept"), [(0x2001, True), (0x2041, False), (0x40, False)])
def test_a_clock_that_nobody_keeps_is_doubted(
    monkeypatch: pytest.MonkeyPatch, status: int, *, kept: bool
) -> None:
    monkeypatch.setattr(machine, "_clock_status", lambda: status)
    if kept:
        assert machine.time_service() == "keeps the clock"
    else:
        with pytest.raises(Doubt) as caught:
            machine.time_service()
        assert "NTP" in caught.value.next.upper()


def test_elsewhere_the_time_service_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert machine.time_service() == "not known on this system"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_kernel_tells_the_clocks_status() -> None:
    status = machine._clock_status()
    assert status is None or 0 <= status < 1 << 16


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:30 / /home rw - btrfs /dev/sdb rw,subvol=/
31 30 8:3 / /home/with\\040space rw - xfs /dev/sdc rw
32 22 0:44 / /run rw,nosuid - tmpfs tmpfs rw,size=1k
33 22 8:4 / /journal rw - ext4 /dev/sdd rw,data=journal
34 22 8:5 / /twice rw - ext4 /dev/sde rw
35 34 0:50 / /twice rw - overlay overlay rw,lowerdir=/a
36 22 0:51 / /pool rw shared:2 master:3 - zfs pool rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var/lib/relay", "ext4"), ("/homes", "ext4"), ("/home/with space/relay", "xfs")],
)
def test_a_file_system_that_overwrites_is_well(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    assert machine.file_system(Path(path), tmp_path / "mounts") == kind


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/home/relay", "btrfs"),
        ("/run/relay", "tmpfs"),
        ("/journal", "data=journal"),
        ("/twice/relay", "overlay"),
        ("/pool/relay", "zfs"),
    ],
)
def test_a_file_system_that_keeps_what_was_overwritten_is_doubted(
    tmp_path: Path, path: str, says: str
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    with pytest.raises(Doubt, match=says) as caught:
        machine.file_system(Path(path), tmp_path / "mounts")
    assert caught.value.next


def test_this_machines_own_mounts_are_understood(tmp_path: Path) -> None:
    assert machine._mount_of(tmp_path.resolve(), machine._MOUNTS) or sys.platform != "linux"


def test_where_mounts_are_not_told_they_are_not_known(tmp_path: Path) -> None:
    assert machine.file_system(tmp_path, tmp_path / "none") == "not known on this system"
    assert machine.swap(tmp_path / "none") == "not known on this system"


SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def test_swap_in_the_clear_is_doubted(tmp_path: Path) -> None:
    uuid = tmp_path / "dm-1" / "dm" / "uuid"
    uuid.parent.mkdir(parents=True)
    uuid.write_text("CRYPT-PLAIN-swap")
    swaps = tmp_path / "swaps"
    swaps.write_text(SWAPS)
    assert machine.swap(swaps, tmp_path) == "none"
    swaps.write_text(SWAPS + "/dev/zram0 partition 1 0 100\n/dev/dm-1 partition 1 0 -2\n")
    assert machine.swap(swaps, tmp_path) == "encrypted, or in memory"
    swaps.write_text(SWAPS + "/dev/dm-1 partition 1 0 -2\n/swapfile file 1 0 -2\n")
    with pytest.raises(Doubt, match=r"^/swapfile may keep"):
        machine.swap(swaps, tmp_path)


def test_a_doubt_is_a_warning_and_no_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubted() -> str:
        raise Doubt("it could be better", next_="better it")

    monkeypatch.setattr(doctor, "swap", doubted)
    assert finding(home, "swap") == Finding(
        "swap", ok=True, detail="it could be better", next="better it"
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RelayProcess, Path]]:
    """A relay with a certificate for localhost, which nobody believes without being told to."""
    folder = tmp_path_factory.mktemp("served")
    certificate, key = make_certificate(folder)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    relay = RelayProcess.make(folder / "relay", *options).start()
    yield relay, certificate
    assert relay.stop() == 0


def test_a_relay_is_reached_from_outside(served: tuple[RelayProcess, Path]) -> None:
    relay, certificate = served
    url = relay.url.replace("127.0.0.1", "localhost")
    command = ("doctor", "--data", str(relay.data), "--url", url, "--json")
    done = run(*command, env={"SSL_CERT_FILE": str(certificate)})
    (found,) = (c for c in json.loads(done.stdout)["checks"] if c["name"] == "reachable")
    assert found["ok"], found
    assert "this relay's key" in found["detail"]
    assert done.returncode == 0


def test_a_certificate_that_nobody_believes_is_named(served: tuple[RelayProcess, Path]) -> None:
    relay, _ = served
    found = finding(Home(relay.data), "reachable", relay.url)
    assert not found.ok
    assert found.detail.startswith("its certificate is not believed: self")
    assert "whole chain" in found.next


def test_another_relay_at_the_address_is_named(process: RelayProcess, home: Home) -> None:
    found = finding(home, "reachable", process.url)
    assert not found.ok
    assert "another relay" in found.detail


@contextmanager
def proxy(
    to: str, change: Callable[[str, bytes, httpx.Response], tuple[int, bytes]]
) -> Iterator[str]:
    """Passes requests on to a relay, and lets a test spoil the answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(b"")

        def do_POST(self) -> None:
            self._pass(self.rfile.read(int(self.headers["content-length"])))

        def _pass(self, body: bytes) -> None:
            with httpx.Client(trust_env=False) as onward:
                method = self.command
                answer = onward.request(method, to + self.path, content=body or None)
            status, said = change(self.path, body, answer)
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_it_came(_path: str, _body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    return answer.status_code, answer.content


def redirecting(_path: str, _body: bytes, _answer: httpx.Response) -> tuple[int, bytes]:
    return 301, b""


def without_relay(_path: str, _body: bytes, _answer: httpx.Response) -> tuple[int, bytes]:
    return 502, b"<html>Bad Gateway"


def busy(_path: str, _body: bytes, _answer: httpx.Response) -> tuple[int, bytes]:
    return 503, b'{"code":"busy"}'


def reading_only(path: str, _body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    return (405, b"") if path != "/v1/relay" else (answer.status_code, answer.content)


def forging(path: str, _body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    """Whoever is in between shows the key, and cannot answer under it."""
    forged = bytes(32) + answer.content[32:]
    return answer.status_code, answer.content if path == "/v1/relay" else forged


def caching(path: str, _body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    if path != "/v1/relay":
        return answer.status_code, answer.content
    return 200, json.dumps({**answer.json(), "hour": answer.json()["hour"] - 5}).encode()


def taking_little(_path: str, body: bytes, answer: httpx.Response) -> tuple[int, bytes]:
    return (413, b"<html>") if len(body) > 100_000 else (answer.status_code, answer.content)


def test_a_proxy_that_changes_nothing_is_well(process: RelayProcess) -> None:
    key = x25519_public(Home(process.data).static_key())
    with proxy(process.url, as_it_came) as url:
        assert "this relay's key" in reach(url + "/", key)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (redirecting, "it redirects"),
        (without_relay, "no relay"),
        (busy, "busy"),
        (reading_only, "do not get through"),
        (forging, "does not have it"),
        (caching, "old hour"),
        (taking_little, "large request"),
    ],
)
def test_what_a_proxy_spoils_is_named(
    process: RelayProcess, change: Callable[..., tuple[int, bytes]], says: str
) -> None:
    with proxy(process.url, change) as url:
        found = finding(Home(process.data), "reachable", url)
    assert not found.ok
    assert says in found.detail
    assert found.next


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("relay.example", "no address"),
        ("ftp://relay.example", "no address"),
        ("http://relay.example", "https"),
        ("http://abc.onion", "onion"),
        ("https://relay.invalid", "name"),
    ],
)
def test_an_address_that_clients_cannot_use_is_named(home: Home, url: str, says: str) -> None:
    with pytest.raises(OperatorError, match=says) as caught:
        reach(url, x25519_public(home.static_key()))
    assert caught.value.next


def test_nothing_at_the_address_is_named(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = finding(home, "reachable", f"http://127.0.0.1:{port}")
    assert found.detail == "nothing listens there"


@pytest.mark.parametrize(
    ("scheme", "says"), [("http", "not HTTP"), ("https", "does not speak TLS")]
)
def test_what_is_no_web_server_is_named(home: Home, scheme: str, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            with other.accept()[0] as plain:
                plain.sendall(b"220 mail.example ready\r\n")
                plain.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        found = finding(home, "reachable", f"{scheme}://127.0.0.1:{other.getsockname()[1]}")
        thread.join()
    assert says in found.detail
    assert found.next


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("", ["TCP 8440 for proxy or tor on this machine", "time service"]),
        ("host = '0.0.0.0'\nport = 443", ["TCP 443 for clients, by a name"]),
        ("metrics_port = 9441", ["on this machine, TCP 9441 for monitoring"]),
        ("database = 'postgresql://r@h/d'", ["out, the port of the database server"]),
    ],
)
def test_u13_what_must_be_open_is_one_list(home: Home, settings: str, says: list[str]) -> None:
    home.config.write_text(settings)
    found = finding(home, "to be open")
    assert found.ok
    assert all(each in found.detail for each in says)


def test_closed_to_new_drops_it_works_and_is_told(home: Home) -> None:
    assert not finding(home, "new drops").next
    home.config.write_text("new_drops = false")
    found = finding(home, "new drops")
    assert found.ok
    assert "new_drops = true" in found.next


def test_a_damaged_database_is_found(home: Home) -> None:
    with home.database.open("r+b") as file:
        file.seek(4096 + 8)
        file.write(bytes([255]) * 2048)
    found = finding(home, "database")
    assert not found.ok
    assert (found.detail, "restore FILE" in found.next) == ("the database is damaged", True)
