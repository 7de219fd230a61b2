"""A renewed certificate is taken over by a relay at work; one that does not fit is not."""

import os
import signal
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.deploy.programs import DEPLOY
from tests.server.certificates import make_certificate
from tests.support.relay import RelayProcess, until

HOOK = DEPLOY / "tls/renewed"


def shown_by(relay: RelayProcess) -> str:
    address = urlsplit(relay.url)
    return ssl.get_server_certificate((str(address.hostname), int(address.port or 0)))


def renew(relay: RelayProcess, lineage: Path) -> None:
    """As certbot runs it; `systemctl` here is what systemd would do."""
    assert relay.process is not None
    programs = relay.data.parent / "bin"
    programs.mkdir(exist_ok=True)
    systemctl = programs / "systemctl"
    asked = '[ "$*" = "reload backchannel-relay.service" ]'
    systemctl.write_text(f"#!/bin/sh\n{asked} && kill -HUP {relay.process.pid}\n")
    systemctl.chmod(0o755)
    told = {"RENEWED_LINEAGE": str(lineage), "BACKCHANNEL_RELAY_DATA": str(relay.data)}
    path = f"{programs}:{os.environ['PATH']}"
    subprocess.run([str(HOOK)], env={**told, "PATH": path}, check=True, timeout=60)


def lineage(folder: Path) -> Path:
    """A certificate as certbot lays it down."""
    folder.mkdir()
    certificate, key = make_certificate(folder)
    certificate.rename(folder / "fullchain.pem")
    key.rename(folder / "privkey.pem")
    return folder


def test_the_hook_brings_a_renewed_certificate(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay")
    first, second = lineage(tmp_path / "first"), lineage(tmp_path / "second")
    (relay.data / "tls.pem").write_text((first / "fullchain.pem").read_text())
    (relay.data / "tls.key").write_text((first / "privkey.pem").read_text())
    paths = f"tls_cert = '{relay.data}/tls.pem'\ntls_key = '{relay.data}/tls.key'\n"
    (relay.data / "relay.toml").write_text(paths)
    relay.start()
    assert shown_by(relay) == (first / "fullchain.pem").read_text()
    renew(relay, second)
    relay.url = relay.listening()
    assert shown_by(relay) == (second / "fullchain.pem").read_text()
    assert (relay.data / "tls.key").stat().st_mode & 0o777 == 0o600
    (first / "fullchain.pem").write_text("nonsense")
    renew(relay, first)
    for _ in until(60):
        if "not taken over" in relay.log.read_text():
            break
    assert shown_by(relay) == (second / "fullchain.pem").read_text()
    assert relay.process is not None
    relay.process.send_signal(signal.SIGTERM)
    assert relay.process.wait(60) == 0
