"""Debian's nginx with the configuration that docs/deployment ships, on loopback ports."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers import free_port, missing, wait_for

SHIPPED = Path(__file__).parents[2] / "docs" / "deployment"
_BINARY = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
_SITE = """
server {{
    listen 127.0.0.1:{plain};
    {below}
}}
server {{
    listen 127.0.0.1:{stripping};
    {stripped}
}}
server {{ # as most people have it: nginx's own limit, uploads and answers held back
    listen 127.0.0.1:{usual};
    location / {{ proxy_pass http://headstart; }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """Where the same service is shown in five ways."""

    own: str
    """By TLS, at the root, as nginx.conf ships it."""
    below: str
    """Under a prefix, as nginx-prefix.conf ships it."""
    stripped: str
    """The same, the prefix taken away before the service sees it."""
    held: str
    """As nginx.conf ships it, but with request bodies held back until they are whole."""
    usual: str
    """A bare `proxy_pass`."""
    certificate: Path

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the certificate, and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def client(self, url: str, key: str, *, local: str = "127.0.0.1") -> httpx.Client:
        """A caller from the address `local`."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=local)
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=url, headers=headers, timeout=300, transport=transport)


@contextmanager
def in_front_of(service: str, folder: Path) -> Iterator[Nginx]:
    """An nginx before the service at the URL `service`, or a skip."""
    if _BINARY is None:
        missing("nginx")
    assert _BINARY is not None
    certificate, key = _certificate(folder)
    ports = [free_port() for _ in range(5)]
    tls, plain, stripping, held, usual = ports
    own = _at(tls, service, certificate, key)
    replaced = {
        "upstream headstart": "upstream unused",
        f"listen 127.0.0.1:{tls}": f"listen 127.0.0.1:{held}",
        "proxy_request_buffering off": "proxy_request_buffering on",
    }
    below = (SHIPPED / "nginx-prefix.conf").read_text()
    site = _SITE.format(
        plain=plain,
        stripping=stripping,
        usual=usual,
        below=below,
        stripped=_with(below, {"proxy_pass http://headstart;": "proxy_pass http://headstart/;"}),
    )
    (folder / "nginx.conf").write_text(_main(own + _with(own, replaced) + site, folder))
    process = subprocess.Popen([_BINARY, "-p", folder, "-c", folder / "nginx.conf"])
    try:
        for port in ports:
            scheme = "https" if port in (tls, held) else "http"
            wait_for(lambda to=f"{scheme}://127.0.0.1:{port}/": httpx.get(to, verify=False))
        yield Nginx(
            own=f"https://127.0.0.1:{tls}",
            below=f"http://127.0.0.1:{plain}/headstart",
            stripped=f"http://127.0.0.1:{stripping}/headstart",
            held=f"https://127.0.0.1:{held}",
            usual=f"http://127.0.0.1:{usual}",
            certificate=certificate,
        )
    finally:
        process.terminate()
        process.wait(300)


def _at(port: int, service: str, certificate: Path, key: Path) -> str:
    """nginx.conf as it ships, but for addresses and paths of files."""
    return _with(
        (SHIPPED / "nginx.conf").read_text(),
        {
            "server 127.0.0.1:8000;": f"server {service.removeprefix('http://')};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/headstart.pem": str(certificate),
            "/etc/ssl/headstart.key": str(key),
        },
    )


def _with(text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def _main(sites: str, folder: Path) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{name}_temp_path {folder / name};" for name in kept)
    return f"""
{user}
daemon off;
worker_processes 1;
pid {folder / "pid"};
error_log {folder / "error.log"};
events {{}}
http {{
access_log off;
{temporary}
{sites}
}}
"""


def _certificate(folder: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1 that signs itself."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if shutil.which("openssl") is None:
        missing("openssl")
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    to = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *made.split(), *to], check=True, capture_output=True)
    return certificate, key
