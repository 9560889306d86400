"""What takes long to make is made once, and kept within bytes: least recently used first to go."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class ByteCache(Generic[Key, Value]):
    """Keeps values of `size` bytes each within `budget` bytes together; the newest is kept whatever
    it has. A value that is in use elsewhere is found again although it has left: it is in memory.

    Threads that ask for one key at a time share one making, and nobody waits for another key's.
    """

    def __init__(self, *, budget: int, size: Callable[[Value], int]) -> None:
        self._budget, self._size = budget, size
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._alive: WeakValueDictionary[Key, Value] = WeakValueDictionary()
        self._makers: dict[Key, Lock] = {}
        self._waiting: Counter[Key] = Counter()
        self._lock = Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value, made if need be. Raises as `make`; whoever waited then tries again."""
        with self._lock:
            if (found := self._alive.get(key)) is not None:
                return self._used(key, found)
            maker = self._makers.setdefault(key, Lock())
            self._waiting[key] += 1
        try:
            with maker:
                found = self._alive.get(key)
                value = make() if found is None else found
                with self._lock:
                    return self._used(key, value)
        finally:
            with self._lock:
                self._waiting[key] -= 1
                if not self._waiting[key]:
                    del self._waiting[key], self._makers[key]

    def clear(self) -> None:
        """Keep none; what is in use elsewhere is still found."""
        with self._lock:
            self._kept.clear()

    @property
    def nbytes(self) -> int:
        """Of what is kept."""
        with self._lock:
            return self._total()

    def __contains__(self, key: Key) -> bool:
        return key in self._alive

    def _total(self) -> int:
        return sum(self._size(value) for value in self._kept.values())

    def _used(self, key: Key, value: Value) -> Value:
        """It becomes the most recently used."""
        self._alive[key] = self._kept[key] = value
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._total() > self._budget:
            self._kept.popitem(last=False)
        return value
