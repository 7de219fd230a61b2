"""Certificates by the system's openssl: nothing in the project can sign."""

import os
import subprocess
from pathlib import Path

import pytest

_AUTHORITY = """\
[ca]
default_ca = own
[own]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def make_certificate(folder: Path, days: int = 90, name: str = "localhost") -> tuple[Path, Path]:
    """Self-signed for a name and for 127.0.0.1, with its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1")
    made = ("-newkey", "rsa:2048", "-nodes", "-keyout", key.name, "-out", certificate.name)
    _openssl(folder, "req", "-x509", "-days", str(days), *names, *made)
    return certificate, key


def make_expired_certificate(folder: Path) -> tuple[Path, Path]:
    """One that was good in January 2020; every openssl's authority can date back."""
    fresh = ("-newkey", "rsa:2048", "-nodes", "-keyout", "privkey.pem", "-out", "asked.pem")
    _openssl(folder, "req", "-new", "-subj", "/CN=old", *fresh)
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    (folder / "own.cnf").write_text(_AUTHORITY)
    dates = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
    asked = ("-in", "asked.pem", "-selfsign", "-keyfile", "privkey.pem", "-out", "cert.pem")
    _openssl(folder, "ca", "-batch", "-notext", "-config", "own.cnf", *asked, *dates)
    return folder / "cert.pem", folder / "privkey.pem"


def _openssl(folder: Path, *arguments: str) -> None:
    """Skips where there is none."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        subprocess.run(
            ["openssl", *arguments], cwd=folder, check=True, capture_output=True, env=environment
        )
    except FileNotFoundError:
        pytest.skip("needs openssl")
