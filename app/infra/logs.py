"""One JSON line an event, on standard error."""

from __future__ import annotations

import logging
import sys
import time

import structlog

_SERVER = "uvicorn.error"
_MINUTE = 60.0


class Seldom(logging.Filter):
    """Lets a warning that says the same through once a minute, with how many were left out.

    The server warns of every connection that does not speak HTTP: whoever likes could fill a disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self._until: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; messages are told apart before their arguments."""
        name, now = str(record.msg), time.monotonic()
        if record.levelno != logging.WARNING:
            return True
        if now < self._until.get(name, 0.0):
            self._left_out[name] = self._left_out.get(name, 0) + 1
            return False
        self._until[name] = now + _MINUTE
        if count := self._left_out.pop(name, 0):
            record.msg = f"{name} ({count} more in the last minute or longer)"
        return True


def configure_logs(level: str) -> None:
    """Log from `level` (a standard name such as INFO) upwards."""
    server = logging.getLogger(_SERVER)
    if not any(isinstance(one, Seldom) for one in server.filters):
        server.addFilter(Seldom())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
        cache_logger_on_first_use=True,
    )
