"""Calls to receivers whose certificate an authority of one's own has signed."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.hooks import outbound
from app.infra.settings import Settings
from app.main import create_app

_ALLOWED = outbound.networks(["127.0.0.0/8"])


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *told: object) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    outbound.certificates.cache_clear()
    yield
    outbound.certificates.cache_clear()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One for 127.0.0.1 that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path / "receiver.pem"
    file.write_bytes(
        made.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def url(certificate: Path) -> Iterator[str]:
    """A receiver that speaks TLS."""
    speaks = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    speaks.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.socket = speaks.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert outbound.post(url, b"{}", {}, _ALLOWED).status == 204


def test_nobody_elses_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        outbound.post(url, b"{}", {}, _ALLOWED)


def test_what_cannot_be_read_fails_a_start_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "nope.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(nowhere))
    with pytest.raises(SystemExit, match=f"SSL_CERT_FILE={nowhere}"):
        create_app(Settings(data_dir=tmp_path))
