"""The parent's side of the tensor process: start, ask, stop, kill, and start again."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from app.core.backbones import JOINT, former_of_parts
from app.core.errors import HeadstartError
from app.infra.precision import Choice
from app.infra.processes.leash import leashed
from app.infra.processes.stillness import Stillness
from app.infra.telemetry import tracing
from worker.formats.channel import Message, MessageChannel, pair

_POLL_SECONDS = 0.02
_STALL_SECONDS = 900.0

log = structlog.get_logger(__name__)


class ChildCrashedError(Exception):
    """The tensor process died, or did nothing for a minute or said nothing for fifteen of them."""


class EngineCrashedError(ChildCrashedError):
    """The tensor process died while it loaded a backbone: no input is to blame."""


class ChildExceptionError(Exception):
    """The tensor process survived an error that nobody expected."""


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What the parent must know of a loaded backbone, whose views `keys` has."""

    backbone: str
    modality: str
    dim: int
    precision: str
    weights_sha256: str
    weights_source: str
    preprocessing: str
    libraries: Mapping[str, str]
    keys: Mapping[str, str]
    window: int = 0
    """Bytes of a text that surely are one window of tokens; 0 for images."""
    reads: int = 0
    """The most tokens of a text that count."""
    pixel_scale: Mapping[str, float] | None = None
    """What is black and white in deep pictures, where a dataset says so."""
    fingerprint: str = ""
    """Of the weights and of all that decides how they are read."""
    former: Sequence[str] = ()
    """What `fingerprint` was by older rules."""
    members: tuple[EngineFacts, ...] = ()
    """Those of the backbones that one of several is made of."""

    @classmethod
    def combined(cls, members: Sequence[EngineFacts]) -> EngineFacts:
        """Of several backbones side by side; a view is what all of them have."""
        first, views = members[0], set.intersection(*(set(one.keys) for one in members))
        return replace(
            first,
            backbone=JOINT.join(one.backbone for one in members),
            dim=sum(one.dim for one in members),
            weights_sha256=JOINT.join(one.weights_sha256 for one in members),
            fingerprint=JOINT.join(one.fingerprint for one in members),
            former=former_of_parts((one.fingerprint, *one.former) for one in members),
            weights_source="; ".join(one.weights_source for one in members),
            keys={view: JOINT.join(one.keys[view] for one in members) for view in sorted(views)},
            members=tuple(members),
        )

    @property
    def parts(self) -> tuple[EngineFacts, ...]:
        """Of each backbone that an input goes through."""
        return self.members or (self,)

    def reading(self, pixel_scale: Mapping[str, float] | None) -> EngineFacts:
        """The same for pictures that are scaled so."""
        scale = dict(pixel_scale) if pixel_scale else None
        members = tuple(one.reading(pixel_scale) for one in self.members)
        return replace(self, pixel_scale=scale, members=members)

    def key(self, view: str) -> str:
        """The name of a view's embedding cache; other pixels have one of their own."""
        if self.pixel_scale is None:
            return self.keys[view]
        told = "\0{low!r}\0{high!r}".format(**self.pixel_scale)
        return hashlib.sha256(f"{self.keys[view]}{told}".encode()).hexdigest()[:24]


class TensorProcess:
    """One child at a time; a request finds it warm, or waits until it is."""

    def __init__(
        self,
        *,
        weights_dir: Path | None,
        engines_dir: Path,
        threads: int,
        precision: Choice = "auto",
        module: str = "worker.tensors",
    ) -> None:
        self._module = module
        self._common = {
            "weights_dir": str(weights_dir) if weights_dir else None,
            "engines_dir": str(engines_dir),
            "threads": threads,
            "precision": precision,
            "fitted": "",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: MessageChannel | None = None
        self._facts: dict[tuple[str, str], EngineFacts] = {}
        self._warming: dict[int, str] = {}
        self._warmed: set[str] = set()
        self._last_id = 0
        self._stopped_id = 0
        self.heard: float | None = None
        """When the child last said something of the current request; None before it begins it."""

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is a child."""
        return self._process.pid if self._process is not None else None

    def warm(self, backbone: str) -> None:
        """Start a child if there is none, and once have it load `backbone`; does not wait.

        A child that is dying is let go: whoever needs one next starts it, and is told of its end.
        """
        self._ensure()
        if backbone in self._warmed:
            return
        try:
            self._warming[self._send({"op": "engine", "backbone": backbone})] = backbone
            self._warmed.add(backbone)
        except ChildCrashedError:
            self.kill()

    def engine(self, backbone: str, guard: Callable[[], None], *, fitted: str = "") -> EngineFacts:
        """The facts of `backbone`, loaded if need be.

        It computes in the precision of the setting, or in that of the engine `fitted` where there
        are units for it. Raises backbone_unavailable, precision_unavailable, EngineCrashedError, or
        whatever guard raises.
        """
        network = backbone, fitted
        try:
            while backbone in self._warming.values():
                self._next(guard)
            if network not in self._facts:
                request = {"op": "engine", "backbone": backbone, "fitted": fitted}
                self._facts[network] = EngineFacts(**self.ask(request, guard=guard))
        except ChildCrashedError as error:
            self.kill()
            raise EngineCrashedError(str(error)) from error
        return self._facts[network]

    def ask(
        self,
        request: Message,
        *,
        guard: Callable[[], None],
        on_message: Callable[[Message], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its result, calling `guard` fifty times a second.

        Raises the child's HeadstartError, ChildExceptionError, ChildCrashedError, or whatever
        guard and on_message raise; then the child, still busy, is killed.
        """
        self._ensure()
        self.heard = None
        try:
            number = self._send({**request, "origin": tracing.origin()})
            while True:
                message = self._next(guard)
                if message["id"] == number:
                    self.heard = time.monotonic()
                if message["id"] == number and message["type"] in _FINAL:
                    break
                if message["id"] == number and message["type"] != _BEGUN and on_message is not None:
                    on_message(message)
        except BaseException:
            self.kill()
            raise
        return _unwrap(message)

    def stop_request(self) -> None:
        """Ask the child to end the current request after its current batch; once is enough."""
        if self._channel is not None and self._stopped_id != self._last_id:
            self._stopped_id = self._last_id
            with suppress(OSError):  # it is gone: whoever waits for its answer will notice
                self._channel.send({"op": "stop", "id": self._last_id})

    def kill(self) -> None:
        """End the child, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._channel is not None:
            self._channel.close()
        self._process, self._channel = None, None
        self._facts, self._warming, self._warmed = {}, {}, set()

    def _ensure(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self._channel, theirs = pair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=leashed(environment()),
            )

    def _send(self, request: Message) -> int:
        assert self._channel is not None
        self._last_id += 1
        try:
            self._channel.send({"id": self._last_id, **self._common, **request})
        except OSError as error:
            raise ChildCrashedError("the tensor process is gone") from error
        return self._last_id

    def _next(self, guard: Callable[[], None]) -> Message:
        """The next message of the child; one that only says an engine is warm is also noted."""
        assert self._channel is not None
        silent_since, still = time.monotonic(), Stillness(self.pid)
        while True:
            guard()
            try:
                message = self._channel.receive(_POLL_SECONDS)
            except EOFError as error:
                raise self._crashed() from error
            if message is not None:
                self._note_warm(message)
                return message
            if time.monotonic() - silent_since > _STALL_SECONDS or still.is_certain():
                raise ChildCrashedError("the tensor process hangs")

    def _note_warm(self, message: Message) -> None:
        if message["type"] == _BEGUN:
            return
        backbone = self._warming.pop(message["id"], None)
        if backbone is None:
            return
        if message["type"] == "result":
            self._facts[backbone, ""] = EngineFacts(**_unwrap(message))
        else:
            log.warning("backbone not warmed", backbone=backbone, reason=message["message"])

    def _crashed(self) -> ChildCrashedError:
        status = self._process.wait() if self._process is not None else None
        self.kill()
        return ChildCrashedError(f"the tensor process ended with status {status}")


def environment() -> dict[str, str]:
    """Ours, with our package importable and without what opens the database or the store.

    OpenMP's threads sleep while they wait, after spinning for some microseconds: beside app and
    predictor on two cores, spinning on made a fit ten times slower, and not at all a tenth. Freed
    memory is kept for the next matrix, up to 512 MB and in one arena: to get fresh pages from the
    kernel for each was a fifth of a fit.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    usual = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "10000",
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the most that glibc takes
        "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
    }
    known = {name: value for name, value in os.environ.items() if not _SECRET.match(name)}
    return usual | known | {"PYTHONPATH": path}


_SECRET = re.compile(r"HEADSTART_(DATABASE|BROKER|STORAGE|SECRETS|API_KEY)|AWS_|PG")
"""Variables that a process without a database and a store has no use for."""


_BEGUN = "begun"
_FINAL = ("result", "error", "exception")


def _unwrap(message: Message) -> dict[str, Any]:
    """A final message as what it means. Raises HeadstartError or ChildExceptionError."""
    body = {name: value for name, value in message.items() if name not in ("id", "type")}
    if message["type"] == "error":
        raise HeadstartError(body["code"], body["message"], param=body["param"])
    if message["type"] == "exception":
        raise ChildExceptionError(body["message"])
    return body
