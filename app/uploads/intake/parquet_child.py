"""A program: Parquet to JSONL, within limits on memory, time and output that it sets itself.

Usage: parquet_child.py SOURCE TARGET BOUNDS, the last as JSON. On failure the status is 1 and
standard error has `{"code", "message"}`. It imports nothing of ours, so that it runs by path.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

COLUMNS = ("text", "label", "group", "split", "prompt", "completion", "messages")
STANDS_FOR = {"label": {"label", "completion", "messages"}, "text": {"text"}}
"""Columns that will do where one is needed."""


def main(source: str, target: str, bounds: dict[str, Any]) -> int:
    """Write the rows of `source` to `target`; the exit status."""
    _set_limits(bounds)
    try:
        with open(target, "w", encoding="utf-8") as out:  # noqa: PTH123 - no more imports than needed
            for row in _rows(source, bounds["rows"], bounds["needed"]):
                out.write(json.dumps(row, ensure_ascii=False, default=_odd) + "\n")
    except _Refused as refused:
        return _say(refused.args[0], refused.args[1])
    except ImportError:
        return _say("unsupported_media_type", "Parquet is read only where pyarrow is installed")
    except MemoryError:
        return _say("archive_bomb", "it needs too much memory")
    except UnicodeError:
        return _say("encoding", "a text is not UTF-8")
    except OSError as error:
        return _say_os(error)
    return 0


class _Refused(Exception):  # noqa: N818 - not an error of this program
    """Code and message for the parent."""


def _set_limits(bounds: dict[str, Any]) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, bounds["memory"]),
        (resource.RLIMIT_CPU, bounds["seconds"]),
        (resource.RLIMIT_FSIZE, bounds["file"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def _rows(source: str, most: int, needed: str) -> Iterator[dict[str, Any]]:
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    try:
        yield from _batches(source, most, needed)
    except pyarrow.ArrowMemoryError as error:
        raise MemoryError from error
    except (pyarrow.ArrowException, EOFError) as error:
        raise _Refused("archive_corrupt", f"it is not readable Parquet: {error}"[:300]) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _Refused("archive_corrupt", f"it is not readable Parquet: {error}"[:300]) from error


def _batches(source: str, most: int, needed: str) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(source, memory_map=False, pre_buffer=False) as file:
        names = [name for name in file.schema_arrow.names if name in COLUMNS]
        if not STANDS_FOR[needed] & set(names):
            found = ", ".join(file.schema_arrow.names[:10])
            said = f"it has no column `{needed}`; it has: {found}"
            raise _Refused("schema_mismatch", said[:300])
        left = most
        for batch in file.iter_batches(batch_size=256, columns=names, use_threads=False):
            yield from map(_without_nan, batch.slice(0, left).to_pylist())
            left -= min(left, batch.num_rows)
            if not left:
                return


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124 - NaN is what differs from itself


def _odd(value: Any) -> None:
    raise _Refused("invalid_value", f"a cell holds neither text nor a number but {type(value)}")


def _say_os(error: OSError) -> int:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _say("storage_full", "no space is left")
    if error.errno == errno.EFBIG:
        return _say("archive_bomb", "it unpacks to too much")
    return _say("archive_corrupt", str(error)[:300])


def _say(code: str, message: str) -> int:
    sys.stderr.write(json.dumps({"code": code, "message": message}))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
