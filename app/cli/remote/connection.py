"""Which service is meant, with which key; one that is started for the command where none runs."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from app.cli.options import console, settings_of
from app.core.errors import HeadstartError
from app.infra.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8000"
_OF_PROXIES = {
    413: "a proxy before the service takes no body of this size (nginx: client_max_body_size)",
    502: "a proxy answers, but the service behind it does not (502)",
    504: "a proxy before the service did not wait long enough (nginx: proxy_read_timeout)",
}
"""What is told where the answer is none of the service's own."""
_NO_SERVICE = "that is no Headstart, but a proxy, a page to sign in or another service"
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
    url = base_of(os.environ.get("HEADSTART_URL") or str(told.get("url") or DEFAULT_URL))
    same = url == base_of(str(told.get("url", "")))
    key = os.environ.get("HEADSTART_API_KEY") or (told.get("key") if same else None) or _own_key()
    return Address(url, str(key)) if key else None


def base_of(url: str) -> str:
    """Where a service is, also where it is told with the `/v1` of its routes, as SDKs want it."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


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
    silence = _silence(address.url) if address is not None else ""
    if address is not None and not silence:
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
        told = f"nothing answers at {where} ({silence}); headstart login names another"
        raise httpx.ConnectError(told)
    with _started() as address, client_of(address) as client:
        yield client


@contextmanager
def _started() -> Iterator[Address]:
    """The embedded service, for as long as the command lasts."""
    from app.cli.embedded import start
    from app.cli.folder import only_one

    settings = _quiet(settings_of(None))
    console.print(f"No service runs at {DEFAULT_URL}: starting one on {settings.data_dir}.")
    with only_one(settings.data_dir) as lock:
        with console.status("starting the app, the trainer and the predictor"):
            supervisor = start(settings, host="127.0.0.1", port=0, lock=lock)
        try:
            yield Address(supervisor.url, (settings.data_dir / "api-key").read_text().strip())
        finally:
            supervisor.stop()
            console.print("Stopped it again; `headstart up` keeps one running.")


def _quiet(settings: Settings) -> Settings:
    """The settings of a service that lasts as long as a command: its log is no news to a person.

    A level that somebody has asked for is kept.
    """
    if "log_level" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"log_level": "WARNING"})


def _silence(url: str) -> str:
    """Why no service answers there; empty if one does."""
    try:
        answer = probed(f"{url}/livez", seconds=5)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    if answer.status_code != httpx.codes.OK:
        return f"it says {answer.status_code}"
    return "" if (object_of(answer) or {}).get("status") == "ok" else _NO_SERVICE


def probed(url: str, *, seconds: float) -> httpx.Response:
    """What answers there, whatever it is. Raises httpx.HTTPError where nothing does."""
    try:
        return httpx.get(url, timeout=seconds, trust_env=False, verify=_trust())
    except (httpx.InvalidURL, UnicodeError) as error:  # of a name that none can have
        raise httpx.ConnectError(str(error)) from None


def object_of(response: httpx.Response) -> dict[str, Any] | None:
    """The JSON object that was answered; None where it was anything else."""
    try:
        told = response.json()
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def client_of(address: Address) -> httpx.Client:
    """A client whose refusals are the service's own errors."""
    return httpx.Client(
        base_url=address.url,
        headers={"Authorization": f"Bearer {address.key}", "User-Agent": "headstart-cli"},
        timeout=httpx.Timeout(SECONDS, connect=10),
        trust_env=False,
        verify=_trust(),
        event_hooks={"response": [_refuse]},
    )


def _trust() -> ssl.SSLContext | bool:
    """The certificates that `SSL_CERT_FILE` names, of a company's own authority, or the usual."""
    named = os.environ.get("SSL_CERT_FILE")
    try:
        return _read(named) if named else True
    except OSError as error:
        raise HeadstartError("invalid_value", f"SSL_CERT_FILE={named}: {error}") from None


@cache
def _read(certificates: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates)


def _refuse(response: httpx.Response) -> None:
    """Raises what the service says is wrong; httpx.ConnectError where no service says it."""
    if response.is_error:
        response.read()
        raise refusal(response)
    if _is_file(response):
        return
    response.read()
    if response.is_redirect or object_of(response) is None:
        raise httpx.ConnectError(no_service(response), request=response.request)


def _is_file(response: httpx.Response) -> bool:
    """Whether it is one to be kept, which every download of the service says."""
    return response.is_success and "content-disposition" in response.headers


def no_service(response: httpx.Response) -> str:
    """What to say of an answer that is none of the service's."""
    kind = response.headers.get("content-type", "").partition(";")[0] or "of no type"
    return f"{response.request.url} answers {response.status_code}, {kind}: {_NO_SERVICE}"


def refusal(response: httpx.Response) -> HeadstartError:
    """The error that an answer tells of, be it the service's or a proxy's before it."""
    told = object_of(response) or {}
    listed = told.get("errors")
    further = [one for one in listed if _is_problem(one)] if isinstance(listed, list) else []
    message = told.get("detail") or _OF_PROXIES.get(response.status_code)
    said = str(message or f"the service answered {response.status_code}")
    code = str(told.get("code", "internal"))
    return HeadstartError(code, said, extra={"errors": further} if further else None)


def _is_problem(told: Any) -> bool:
    return isinstance(told, dict) and {"code", "message"} <= told.keys()
