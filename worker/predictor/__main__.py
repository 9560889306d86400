"""`python -m worker.predictor`."""

import atexit
import os

from app.infra.processes import leash


def _fall_silent() -> None:
    """Let standard error go nowhere: after all that we do, bindings list what they leak."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


if __name__ == "__main__":
    leash.obey()
    atexit.register(_fall_silent)  # the first that is registered is the last to run
    with leash.importing():
        from worker.predictor.process import main

    main()
