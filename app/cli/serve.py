"""The app's process: uvicorn with what the settings say. `headstart serve`, or `python -m` this."""

from __future__ import annotations

import argparse
import gc
import sys

from app.infra.processes import leash
from app.infra.settings import settings_or_exit

DRAIN_SECONDS = 10

_SWITCH_SECONDS = 0.0005
"""Python's threads hand over this often: the event loop must not wait 5 ms behind each of them."""
_YOUNG = 10_000
"""New objects after which garbage is looked for. A request leaves none, but among those that are
under way Python's 700 come every dozen of them: a tenth of a prediction's time in this process."""


def serve(*, host: str, port: int) -> None:
    """Answer HTTP until SIGTERM or SIGINT, then drain."""
    settings = settings_or_exit(with_folder=True)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_YOUNG)
    with leash.importing():
        import uvicorn

        from app.main import app
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,  # app.infra.telemetry.logs says how
        http="app.http.connection:ClientConnection",
        ws="none",
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        proxy_headers=False,  # app.http.front reads them, and knows whom to believe
    )


def main() -> None:
    """The process's entry."""
    leash.obey()
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    told = parser.parse_args()
    serve(host=told.host, port=told.port)


if __name__ == "__main__":
    main()
