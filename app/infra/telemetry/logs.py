"""One JSON line an event, on standard error; what callers have sent is in none.

An error that is logged is told by `told`: a caller's by its code alone, since its message may name
a label or a file, and any other without what it quotes, SQL's parameters and Postgres's details.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator, MutableMapping
from itertools import pairwise
from typing import Any

import structlog

from app.core.errors import HeadstartError
from app.core.openai.problems import STATUSES

_QUOTED = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_DETAIL = re.compile(r"\n(DETAIL|CONTEXT|HINT|LINE \d+):.*", re.DOTALL)
_SECRET = re.compile(r"\bhs_[0-9a-f]{12}_[\w-]+|\bwhsec_[\w+/=-]+|(?<=://)[^\s/@]*@|\?\S*=\S*")
"""Keys, secrets that sign, and of an address its password and its query."""
_LONGEST = 2000
_SERVER_ERROR = 500

_SERVER = "uvicorn.error"
_MINUTE = 60.0

Event = MutableMapping[str, Any]


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


def told(error: BaseException) -> str:
    """What a log line may say of an error: nothing that a caller has sent."""
    if isinstance(error, HeadstartError):
        ours = STATUSES[error.code] >= _SERVER_ERROR
        return f"{error.code}: {_masked(error.message)}" if ours else error.code
    said = _masked(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _masked(text: str) -> str:
    """The text, at most 2,000 characters of it, without values."""
    return _SECRET.sub("…", _QUOTED.sub("…", _DETAIL.sub("", text)))[:_LONGEST]


def _told_errors(_logger: Any, _method: str, event: Event) -> Event:
    """Errors among an event's values, as they may be told; of `exc_info` the way that it took."""
    for name, value in event.items():
        if name != "exc_info" and isinstance(value, BaseException):
            event[name] = told(value)
    error = _raised(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = "".join(_lines(error))
    return event


def _raised(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    found = sys.exc_info() if given is True else given
    return found[1] if isinstance(found, tuple) else None


def _lines(error: BaseException) -> Iterator[str]:
    """As Python prints a traceback, its causes first, with each error as `told`."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) and before not in chain:
        chain.append(before)
    chain.reverse()
    yield from _lines_of_one(chain[0])
    for _, later in pairwise(chain):
        yield "\nwhich led to:\n\n"
        yield from _lines_of_one(later)


def _lines_of_one(error: BaseException) -> Iterator[str]:
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield told(error) + "\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _lines_of_one(inner)


def _without_errors(record: logging.LogRecord) -> bool:
    """Arguments of other libraries' lines that are errors, as they may be told."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            told(one) if isinstance(one, BaseException) else one for one in record.args
        )
    return True


def configure_logs(level: str) -> None:
    """Log from `level` (a standard name such as INFO) upwards, libraries' warnings too."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        _told_errors,
    ]
    renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(max(number, logging.WARNING), shared, renderer)


def _configure_libraries(level: int, shared: list[Any], renderer: Any) -> None:
    """What libraries log, in the same form: a server's own traceback has contents too."""
    handler = logging.StreamHandler(sys.__stderr__)
    handler.addFilter(_without_errors)
    drop_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[drop_meta, renderer], foreign_pre_chain=[_named, *shared]
        )
    )
    handler.set_name("headstart")
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if one.name != handler.name] + [handler]
    root.setLevel(level)
    server = logging.getLogger(_SERVER)
    if not any(isinstance(one, Seldom) for one in server.filters):
        server.addFilter(Seldom())
    for name in ("uvicorn", _SERVER):  # started by its own command it has set up its own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _named(_logger: Any, _method: str, event: Event) -> Event:
    event["logger"] = event["_record"].name
    return event
