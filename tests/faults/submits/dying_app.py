"""The app, which now and then is killed after a commit and before the doorbell of it rings."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterable

from app.infra.lanes import Lane
from app.infra.queue import Doorbell


def die_before_ringing(chance: float) -> None:
    """Let this process end so often at exactly that moment."""
    ring = Doorbell.ring

    def or_die(self: Doorbell, lanes: Iterable[Lane]) -> None:
        if random.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)
        ring(self, lanes)

    Doorbell.ring = or_die  # type: ignore[method-assign]


if __name__ == "__main__":
    die_before_ringing(float(os.environ["HEADSTART_TEST_DEATHS"]))
    from app.cli.serve import main

    main()
