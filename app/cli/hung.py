"""Whether a child that runs still does anything: one that hangs, or is frozen, is no use alive."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from app.core.times import STALE_SECONDS
from app.infra.processes.stillness import Stillness

_ASK_SECONDS = 5.0
_ANSWER_SECONDS = 1.0
_ALIVE = "/livez"

Sign = Callable[[], bool]
"""Whether there is a sign of life just now."""


class LifeWatch:
    """Looks after one process: it hangs where it gives no sign of life and uses no processor time.

    Either alone proves nothing: a busy machine answers late, and who waits for work uses no time.
    """

    def __init__(self, pid: int, sign: Sign) -> None:
        self._sign = sign
        self._still = Stillness(pid)
        self._next = 0.0

    def hangs(self) -> bool:
        """Looks and asks, if it is time; whether it has done nothing at all for a minute."""
        if time.monotonic() >= self._next:
            if self._sign():
                self._still.moved()
            self._next = time.monotonic() + _ASK_SECONDS
        return self._still.is_certain()


def answers(url: str) -> bool:
    """Whether our own service says 200; never by way of a proxy that the environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def predictor_answers(address: str) -> bool:
    """Whether the predictor at `unix:<path>` or `http://host:port` says anything."""
    url = urlsplit(address)
    asked = http.client.HTTPConnection(
        url.hostname or "localhost", url.port, timeout=_ANSWER_SECONDS
    )
    with closing(asked):
        try:
            if address.startswith("unix:"):
                asked.sock = _connected(address.removeprefix("unix:"))
            asked.request("GET", _ALIVE)
            return asked.getresponse().status > 0
        except (OSError, http.client.HTTPException):
            return False


def trainer_beats(folder: Path, pid: int) -> bool:
    """Whether that trainer has looked for work, or kept its claim, lately."""
    beats = folder / "run" / f"trainer-{socket.gethostname()}-{pid}.alive"
    try:
        return time.time() - beats.stat().st_mtime < STALE_SECONDS
    except OSError:
        return False


def _connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(_ANSWER_SECONDS)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made
