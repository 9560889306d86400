"""A connection on which nothing is heard any more, while others are answered: of several replicas
behind one name its own may be frozen. The question is asked again on another connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.core.messages import ALIVE_SECONDS
from app.infra.predictor_client.lookout import Lookout

_LOOKS = 5
"""So many looks without a byte are between four and five seconds, in which one that runs has said
so four times. Looks are counted, not seconds: they come late where this process is itself."""


class Listener(Protocol):
    """Who waits for bytes on a connection."""

    looks: int
    """Since the last of them came."""

    def ask_again(self) -> None:
        """Nothing comes here any more."""
        ...


class Quiet(Lookout[Listener]):
    """Looks after each connection on which somebody waits.

    `tells`: what a new connection has shown last, that a predictor says that it runs, and that
    nobody in between keeps it back. Otherwise silence means nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tells = False

    @contextmanager
    def waiting(self, waits: Listener) -> Iterator[None]:
        """`waits` waits for an answer meanwhile."""
        waits.looks = 0
        with super().waiting(waits):
            yield

    @property
    def every(self) -> float:
        """A predictor that runs has said so in between."""
        return ALIVE_SECONDS

    async def _look(self) -> None:
        for listener in tuple(self._waiting):
            listener.looks += 1
            if self.tells and listener.looks >= _LOOKS:
                listener.ask_again()
