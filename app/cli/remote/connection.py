"""Which service is meant, with which key; one that is started for the command where none runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.cli.options import console, settings_of
from app.core.errors import HeadstartError

DEFAULT_URL = "http://127.0.0.1:8000"
SECONDS = 600.0
"""A long upload's, or a wait's."""


@dataclass(frozen=True)
class Address:
    """A service and a key for it."""

    url: str
    key: str


def remembered_in() -> Path:
    """The file that `headstart login` writes."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "headstart" / "login.json"


def remember(address: Address) -> Path:
    """Keep it for the next command, readable by its owner alone."""
    path = remembered_in()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"url": address.url, "key": address.key}) + "\n")
    draft.replace(path)
    return path


def known_address() -> Address | None:
    """What the environment says, else what was remembered, else the service of this folder."""
    told = _remembered()
    url = os.environ.get("HEADSTART_URL") or told.get("url") or DEFAULT_URL
    same = url.rstrip("/") == str(told.get("url", "")).rstrip("/")
    key = os.environ.get("HEADSTART_API_KEY") or (told.get("key") if same else None) or _own_key()
    return Address(url.rstrip("/"), str(key)) if key else None


def _remembered() -> dict[str, Any]:
    try:
        told = json.loads(remembered_in().read_text())
    except (FileNotFoundError, PermissionError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _own_key() -> str | None:
    path = settings_of(None).data_dir / "api-key"
    return path.read_text().strip() if path.is_file() else None


@contextmanager
def connected() -> Iterator[httpx.Client]:
    """A client of the service; where nothing is set and none runs here, one that is started.

    Raises unauthenticated where a service is named without a key.
    """
    address = known_address()
    if address is not None and _answers(address.url):
        with client_of(address) as client:
            yield client
        return
    if os.environ.get("HEADSTART_URL") or _remembered():
        where = address.url if address else os.environ.get("HEADSTART_URL", "")
        if address is None:
            why = f"no key for {where}: set HEADSTART_API_KEY, or run headstart login"
            raise HeadstartError("unauthenticated", why)
        if not where.startswith(("http://", "https://")):
            raise HeadstartError("invalid_value", f"{where}: begin it with http:// or https://")
        raise httpx.ConnectError(f"nothing answers at {where}; headstart login names another")
    with _started() as address, client_of(address) as client:
        yield client


@contextmanager
def _started() -> Iterator[Address]:
    """The embedded service, for as long as the command lasts."""
    from app.cli.embedded import start
    from app.cli.folder import only_one

    settings = settings_of(None)
    console.print(f"No service runs at {DEFAULT_URL}: starting one on {settings.data_dir}.")
    with only_one(settings.data_dir) as lock:
        with console.status("starting the app, the trainer and the predictor"):
            supervisor = start(settings, host="127.0.0.1", port=0, lock=lock)
        try:
            yield Address(supervisor.url, (settings.data_dir / "api-key").read_text().strip())
        finally:
            supervisor.stop()
            console.print("Stopped it again; `headstart up` keeps one running.")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def client_of(address: Address) -> httpx.Client:
    """A client whose refusals are the service's own errors."""
    return httpx.Client(
        base_url=address.url,
        headers={"Authorization": f"Bearer {address.key}", "User-Agent": "headstart-cli"},
        timeout=httpx.Timeout(SECONDS, connect=10),
        trust_env=False,
        event_hooks={"response": [_refuse]},
    )


def _refuse(response: httpx.Response) -> None:
    if not response.is_error:
        return
    response.read()
    try:
        told = response.json()
    except ValueError:
        told = {}
    code = str(told.get("code", "internal"))
    message = str(told.get("detail") or f"the service answered {response.status_code}")
    raise HeadstartError(code, message)
