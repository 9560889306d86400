"""The engines that the tensor process keeps, and what it does with new ones while nobody asks."""

from __future__ import annotations

import gc
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from pathlib import Path

from app.infra.precision import Precision
from worker.ml import memory
from worker.ml.engines import Engine, load_engine
from worker.tensors import warmup

MOST = 4
BYTES = 2 * 2**30
"""Of this process's own memory, from which on the engines used least lately make way: what one that
has seen its largest batch holds is far more than its weights.
"""
Network = tuple[str, Precision]


class KeptEngines:
    """By backbone and precision; one thread's."""

    def __init__(self) -> None:
        self._engines: OrderedDict[Network, Engine] = OrderedDict()
        self._warming: deque[tuple[Network, Callable[[], object]]] = deque()

    def get(self, network: Network, weights_dir: Path | None, cache_dir: Path | None) -> Engine:
        """Loaded if need be; the least recently used one makes way. Raises as `load_engine`."""
        if network not in self._engines:
            name, precision = network
            self._engines[network] = load_engine(
                name, weights_dir, cache_dir=cache_dir, precision=precision
            )
            steps = warmup.steps(self._engines[network])
            self._warming.extend((network, step) for step in steps)
        self._engines.move_to_end(network)
        while len(self._engines) > MOST:
            self._forget(next(iter(self._engines)))
        return self._engines[network]

    def make_room(self, asked: Collection[str]) -> None:
        """Let engines go that are not `asked` for, least recently used first, until this process
        is within its bytes. An engine's memory is not its weights': it is looked at as a whole.
        """
        for network in [one for one in self._engines if one[0] not in asked]:
            if memory.own() <= BYTES:
                return
            self._forget(network)
            gc.collect()

    def rest(self) -> None:
        """Run the next step of getting ready, if there is one."""
        if self._warming:
            self._warming.popleft()[1]()

    def _forget(self, network: Network) -> None:
        """With the steps that hold it."""
        del self._engines[network]
        self._warming = deque(one for one in self._warming if one[0] != network)
