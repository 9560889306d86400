"""The app's process: uvicorn with what the settings say. `headstart serve`, or `python -m` this."""

from __future__ import annotations

import argparse

from app.infra import leash
from app.infra.settings import settings_or_exit

DRAIN_SECONDS = 10


def serve(*, host: str, port: int) -> None:
    """Answer HTTP until SIGTERM or SIGINT, then drain."""
    import uvicorn

    settings = settings_or_exit(with_folder=True)
    uvicorn.run(
        "app.main:app",
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        http="app.http.connection:ClientConnection",
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
