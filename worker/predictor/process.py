"""The predictor: one process that holds backbones and heads, and answers the app's calls.

`python -m worker.predictor`. It has no database: the app names immutable artifacts, and storage has
them. SIGTERM drains: no new connections, what is under way is answered, then the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import structlog
import torch
import uvloop
from threadpoolctl import threadpool_limits

from app.core.errors import HeadstartError
from app.core.messages import Target
from app.infra import weights
from app.infra.auto_backbone import listed_backbones
from app.infra.settings import Settings, settings_or_exit
from app.infra.storage import open_storage, staging, tidy
from app.infra.telemetry.logs import configure_logs
from worker.answers.scoring import ServingHead
from worker.formats import models
from worker.formats.served import ServedNotes, TunedNetwork
from worker.ml import memory
from worker.ml.engines import default_device, tunable
from worker.ml.engines.precision import precisions
from worker.predictor.calls import InputOutcome
from worker.predictor.head_cache import HeadCache
from worker.predictor.http import Connection
from worker.predictor.loaded import load_head
from worker.predictor.metrics import Metrics
from worker.predictor.networks import room
from worker.predictor.networks.fleet import Fleet
from worker.predictor.networks.loading import batcher_builder
from worker.predictor.networks.room import Room
from worker.predictor.prediction_cache import PredictionCache
from worker.predictor.service import Service

_SWITCH_SECONDS = 0.0005
"""Python's threads hand over this often: the event loop must not wait 5 ms behind a decoder."""

_TIDY_SECONDS = 3600.0
_LOOK_SECONDS = 0.2
"""How often it is looked whether memory is within its bound."""
_MOST_READY = 6
"""Tuned networks that are got ready before the first call, at most, and for how many seconds."""
_READY_SECONDS = 90.0
_BACKLOG = 1024
"""Connections that may come at once: a flood opens one a request."""

log = structlog.get_logger()


class Predictor:
    """The process's parts, started and stopped together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        weights.tell_absent_folder(settings)
        self._executor = ThreadPoolExecutor(4, thread_name_prefix="load")
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self.storage = open_storage(settings)
        self.notes = ServedNotes(self.storage, staging(settings))
        self.room = Room(_bound(settings))
        self.service = self._assemble(asyncio.get_running_loop())

    async def start(self) -> None:
        """Listen first, so that probes are answered while the default backbone loads."""
        loop, address = asyncio.get_running_loop(), self.settings.listen
        if address.startswith("unix:"):
            with _private_socket(Path(address.removeprefix("unix:"))) as bound:
                self._server = await loop.create_unix_server(
                    self._connection, sock=bound, backlog=_BACKLOG
                )
        else:
            url = urlsplit(address)
            self._server = await loop.create_server(
                self._connection, url.hostname, url.port or 80, backlog=_BACKLOG
            )
        await self._preload()

    async def stop(self) -> None:
        """Answer what is under way, within the grace, then close."""
        service = self.service
        service.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_seconds):
                await service.drained()
        service.fleet.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _preload(self) -> None:
        """Load what `auto` predicts with, as far as it is named, or else the default of images;
        then the tuned networks that answered of late, as far as time and memory go.
        """
        named = listed_backbones(self.settings) or [self.settings.default_backbone_image]
        for name in named:
            await self._load(name)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._get_ready()
        except TimeoutError:
            log.warning("not every tuned network is ready: those that are asked for will be")
        self.service.fleet.ready = True

    async def _get_ready(self) -> None:
        """What is under way when time is over goes on."""
        try:
            recent = await asyncio.to_thread(self.notes.recent)
        except HeadstartError as error:
            log.warning("what answered of late cannot be read", code=error.code)
            return
        for network in recent[:_MOST_READY]:
            if tunable.is_full():
                return
            await self._rehearse(network)

    async def _rehearse(self, network: TunedNetwork) -> None:
        fleet = self.service.fleet
        try:
            batcher = await fleet.load(network.backbone, network.fitted)
            await fleet.rehearse(batcher, network.depth)
        except HeadstartError as error:
            told = {"backbone": network.backbone, "depth": network.depth, "code": error.code}
            log.warning("a tuned network cannot be got ready", **told)
        except Exception:
            log.exception("a tuned network cannot be got ready", backbone=network.backbone)

    def _note(self, network: TunedNetwork, aliased: bool) -> None:
        """That it answers, for predictors that start later."""
        if not self.notes.is_noted(network, aliased=aliased):
            self.notes.remember(network, aliased=aliased)
            self._executor.submit(self._write, network, aliased=aliased)

    def _write(self, network: TunedNetwork, *, aliased: bool) -> None:
        try:
            self.notes.note(network, aliased=aliased)
        except (HeadstartError, OSError) as error:
            log.warning("that a tuned network answers cannot be noted", reason=error)

    async def _load(self, name: str) -> None:
        try:
            await self.service.fleet.load(name)
        except HeadstartError as error:
            log.error("a backbone is missing", code=error.code, message=error.message)
        except Exception:
            log.exception("a backbone cannot be loaded", backbone=name)

    def _connection(self) -> Connection:
        return Connection(
            self.service.handle, self._connections, max_body=2 * self.settings.max_request_bytes
        )

    def _assemble(self, loop: asyncio.AbstractEventLoop) -> Service:
        settings, metrics, storage = self.settings, Metrics(), self.storage
        engines = settings.data_dir / "engines"

        def load(target: Target) -> ServingHead:
            return load_head(
                storage,
                target,
                settings.weights_dir,
                cache_dir=engines,
                observe=metrics.suffix.observe,
            )

        def deliver(outcomes: list[InputOutcome]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits
                loop.call_soon_threadsafe(service.deliver, outcomes)

        cache = PredictionCache(settings.prediction_cache_bytes)
        build = batcher_builder(
            weights_dir=settings.weights_dir,
            cache_dir=engines,
            limit=settings.predictor_queue,
            wait=settings.predictor_wait_seconds,
            deliver=deliver,
            metrics=metrics,
            cache=cache,
        )
        heads = HeadCache(
            load, budget=settings.heads_cache_bytes, executor=self._executor, metrics=metrics
        )
        known = precisions(settings.precision, default_device())
        fleet = Fleet(build, executor=self._executor, precisions=known, room=self.room)
        self.room.holders = (fleet, heads)
        service = Service(
            fleet=fleet,
            heads=heads,
            cache=cache,
            metrics=metrics,
            limit=settings.predictor_queue,
            served=self._note,
        )
        metrics.watch("heads", "Heads in memory", lambda: len(heads))
        metrics.watch("heads_bytes", "Bytes of the heads in memory", lambda: heads.nbytes)
        metrics.watch("pins", "Aliases that keep a head in memory", lambda: heads.pins)
        metrics.watch("waiting", "Inputs that no thread has begun", lambda: fleet.waiting)
        metrics.watch("memory_bytes", "Bytes of this process's own", memory.own)
        metrics.watch("memory_bound_bytes", "Its bound; 0: none", lambda: self.room.bound)
        metrics.watch("cache_bytes", "Bytes of the prediction cache", lambda: cache.nbytes)
        return service


def _bound(settings: Settings) -> int:
    """Bytes of the process's own; none on a GPU, which has the networks, and whose libraries take
    what they take.
    """
    return settings.heads_cache_bytes + room.BESIDE if default_device() == "cpu" else 0


@contextlib.contextmanager
def _private_socket(path: Path) -> Iterator[socket.socket]:
    """A socket at `path` that only this user may open; one that a dead process left is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o600)
        yield bound
    except BaseException:
        bound.close()
        raise


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    predictor = Predictor(settings)
    await predictor.start()
    beside = [asyncio.create_task(_tidy(predictor)), asyncio.create_task(_keep(predictor.room))]
    log.info("predictor ready", address=settings.listen, pid=os.getpid())
    await stop.wait()
    for task in beside:
        task.cancel()
    await predictor.stop()


async def _tidy(predictor: Predictor) -> None:
    """By the hour, forget this host's copies of what was deleted elsewhere, in memory too."""
    settings, service, storage = predictor.settings, predictor.service, predictor.storage
    while True:
        try:
            await asyncio.to_thread(tidy, settings, storage)
            held = service.heads.artifacts
            service.heads.forget(await asyncio.to_thread(models.gone, storage, held))
            service.cache.forget_idle(_TIDY_SECONDS)
            await asyncio.to_thread(predictor.notes.forget_old)
        except (HeadstartError, OSError) as error:
            log.warning("old copies cannot be tidied up", reason=error)
        await asyncio.sleep(_TIDY_SECONDS)


async def _keep(room: Room) -> None:
    """See to it that memory stays within its bound."""
    while True:
        await room.keep()
        await asyncio.sleep(_LOOK_SECONDS)


def main() -> None:
    """The process's entry."""
    settings = settings_or_exit(with_folder=True)
    configure_logs(settings.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.keep_to(memory.PREDICTOR_SHARE)
    torch.set_num_threads(1)  # a resize over two threads burns eight times the CPU of one
    with threadpool_limits(1, user_api="blas"):  # numpy's products are small, too
        try:
            uvloop.run(serve(settings))
        except HeadstartError as error:
            log.error("the predictor cannot start", code=error.code, message=error.message)
            raise SystemExit(1) from error
