"""An attribute made at its first use. Unlike `functools.cached_property` of Python 3.11 it has no
lock, which all instances would share: threads that work on different ones would wait in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class lazily(Generic[Value]):  # noqa: N801 - used as a decorator, like property
    """Keep what the method returns in the instance, where it is found from then on."""

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(self, instance: object, _owner: type | None = None) -> Value:
        value = self._make(instance)
        instance.__dict__[self._make.__name__] = value
        return value
