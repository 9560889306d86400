"""A program: Parquet or a workbook to JSONL, within limits on memory, time and output.

Usage: child.py SOURCE TARGET BOUNDS, the last as JSON. The first line written says what columns
there are: `{"columns", "classes", "images", "told"}`; then an object a row. Pictures go to
TARGET.blobs, and a row says where in it. On failure the status is 1 and standard error has
`{"code", "message"}`. It imports nothing of ours, so that it runs by path; its
leash and the reader of workbooks, which run so too, are beside it.
"""

from __future__ import annotations

import errno
import json
import re
import resource
import runpy
import struct
import sys
from collections.abc import Callable, Iterator
from datetime import date, time
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

Row = dict[str, Any]
WIDEST = 1000
"""Columns of marks that are looked at."""
PICTURES = ("image", "img", "picture", "photo", "image_bytes", "image_data")
"""What a column of bytes is called that are pictures."""
BEYOND = {"type": "beyond"}
"""What stands for a cell that Python cannot hold."""


def main(source: str, target: str, bounds: dict[str, Any]) -> int:
    """Write the rows of `source` to `target`; the exit status."""
    _set_limits(bounds)
    workbook = runpy.run_path(str(Path(__file__).with_name("workbook.py")), {"Refused": _Refused})
    read = {"parquet": _parquet, "xlsx": workbook["rows"]}[bounds["kind"]]
    try:
        with (
            open(target, "w", encoding="utf-8") as out,  # noqa: PTH123 - no more imports than needed
            open(target + ".blobs", "wb") as blobs,  # noqa: PTH123
        ):
            for row in read(source, bounds, blobs):
                out.write(json.dumps(row, ensure_ascii=False, default=_odd) + "\n")
    except Exception as error:  # noqa: BLE001 - libraries raise what they like over a bad file
        return _say(*_reason(error))
    return 0


def _reason(error: Exception) -> tuple[str, str]:
    """Code and message of what was raised."""
    if isinstance(error, _Refused):
        return error.args[0], error.args[1]
    if isinstance(error, OSError):
        return _os_reason(error)
    if isinstance(error, ImportError):
        return "unsupported_media_type", f"it is read only where {error.name} is installed"
    if isinstance(error, MemoryError):
        return "archive_bomb", "it needs too much memory"
    if isinstance(error, UnicodeError):
        return "encoding", "a text is not UTF-8"
    said = f"it cannot be read ({type(error).__name__}: {error})"[:200]
    return "archive_corrupt", f"{said}; write it anew, or save it as CSV UTF-8"


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


def _parquet(source: str, bounds: dict[str, Any], blobs: BinaryIO) -> Iterator[Row]:
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    try:
        yield from _batches(source, bounds, blobs)
    except pyarrow.ArrowMemoryError as error:
        raise MemoryError from error
    except (pyarrow.ArrowException, EOFError) as error:
        raise _Refused("archive_corrupt", f"it is not readable Parquet: {error}"[:300]) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _Refused("archive_corrupt", f"it is not readable Parquet: {error}"[:300]) from error


def _batches(source: str, bounds: dict[str, Any], blobs: BinaryIO) -> Iterator[Row]:
    from pyarrow import parquet

    with parquet.ParquetFile(source, memory_map=False, pre_buffer=False) as file:
        schema = file.schema_arrow
        classes = _classes(schema)
        images = [field.name for field in schema if _is_picture(field.name, field.type)]
        wanted = [name for name in schema.names if _is_wanted(name, bounds) or name in classes]
        wanted += _marks(schema, bounds, classes) + _groups(schema, bounds)
        yield {"columns": schema.names, "classes": classes, "images": images, "told": []}
        at_once = 16 if images else 256
        left = bounds["rows"]
        read = list(dict.fromkeys([*wanted, *images]))
        for batch in file.iter_batches(batch_size=at_once, columns=read, use_threads=False):
            for row in _rows(batch.slice(0, left)):
                yield {
                    name: _picture(value, blobs) if name in images else _plain(value)
                    for name, value in row.items()
                }
            left -= min(left, batch.num_rows)
            if not left:
                return


def _rows(batch: Any) -> Iterator[Row]:
    """The rows as Python has them."""
    columns = [_values(column) for column in batch.columns]
    for cells in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, cells, strict=True))


def _values(column: Any) -> list[Any]:
    """A column's cells; one by one where Python cannot hold them all."""
    try:
        told: list[Any] = column.to_pylist()
    except UnicodeError:
        raise
    except (ValueError, ArithmeticError, TypeError, LookupError):
        return [_value(cell) for cell in column]
    if str(column.type) == "float":
        return [_shortest(value) if value else value for value in told]
    return told


def _shortest(value: float) -> float:
    """A number of 32 bits as it is written: 0.1, not the 0.10000000149 that 64 bits make of it."""
    if value - value != 0:
        return value  # infinite, or none
    kept = struct.pack("f", value)
    near = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((one for one in near if struct.pack("f", one) == kept), value)


def _value(cell: Any) -> Any:
    """A cell; a time of nanoseconds as a text, and what Python cannot hold as `BEYOND`, so that
    whoever needs it refuses its row."""
    import pyarrow

    if isinstance(cell, pyarrow.DictionaryScalar):
        cell = cell.value
    try:
        return cell.as_py()
    except UnicodeError:
        raise
    except (ValueError, ArithmeticError, TypeError, LookupError):
        if not isinstance(cell, pyarrow.TimestampScalar | pyarrow.Time64Scalar):
            return BEYOND
        return _nanoseconds(cell) if cell.type.unit == "ns" else BEYOND


def _nanoseconds(cell: Any) -> Any:
    """A moment, or a time of day, with nine digits of a second, as ISO 8601 has it."""
    import pyarrow

    kind = pyarrow.time64("us")
    if isinstance(cell, pyarrow.TimestampScalar):
        kind = pyarrow.timestamp("us", cell.type.tz)
    try:
        whole = pyarrow.scalar(cell.value // 1000, kind).as_py()
    except (ValueError, ArithmeticError, LookupError):
        return BEYOND
    plain = whole.replace(tzinfo=None)
    zone = whole.isoformat().removeprefix(plain.isoformat())
    return f"{plain.isoformat(timespec='microseconds')}{cell.value % 1000:03d}{zone}"


def _is_wanted(name: str, bounds: dict[str, Any]) -> bool:
    """Whether the column's name, spelled loosely, is one that may be read."""
    named = _loose(name) in bounds["names"] or name in bounds["chosen"]
    return bounds["every"] or named or name.endswith(tuple(bounds["endings"]))


def _marks(schema: Any, bounds: dict[str, Any], classes: dict[str, list[str]]) -> list[str]:
    """Columns that may have a one or zero a class; none where a column says the labels itself."""
    from pyarrow import types

    if bounds["unmarked"] is None or classes:
        return []
    if {_loose(name) for name in schema.names} & set(bounds["unmarked"]):
        return []
    kinds = (types.is_boolean, types.is_integer, types.is_floating)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)][
        :WIDEST
    ]


def _groups(schema: Any, bounds: dict[str, Any]) -> list[str]:
    """Columns of texts or whole numbers that may say which rows belong together."""
    from pyarrow import types

    if bounds["grouping"] is None:
        return []
    kinds = (types.is_string, types.is_large_string, types.is_integer, types.is_dictionary)
    pattern = re.compile(bounds["grouping"], re.IGNORECASE)
    found = (field for field in schema if any(is_kind(field.type) for is_kind in kinds))
    return [field.name for field in found if pattern.search(field.name)][:WIDEST]


def _loose(name: str) -> str:
    """Without case, and with one kind of joint."""
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _is_picture(name: str, kind: Any) -> bool:
    """Whether this is how `datasets` stores an image, a struct of its bytes and its path; or bytes
    in a column that is called one.
    """
    import pyarrow

    if pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind):
        return _loose(name) in PICTURES
    if not pyarrow.types.is_struct(kind):
        return False
    inner = {kind.field(at).name: kind.field(at).type for at in range(kind.num_fields)}
    return "bytes" in inner and pyarrow.types.is_binary(inner["bytes"])


def _classes(schema: Any) -> dict[str, list[str]]:
    """The names of each ClassLabel column, as the schema's own metadata have them."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    found = {name: _inner(feature) for name, feature in features}
    return {
        name: _names(feature["names"])
        for name, feature in found.items()
        if feature.get("_type") == "ClassLabel" and "names" in feature
    }


def _inner(feature: Any) -> dict[str, Any]:
    """The feature itself, or that of which it is a list."""
    if isinstance(feature, list):
        return _inner(feature[0]) if feature else {}
    if not isinstance(feature, dict):
        return {}
    return _inner(feature["feature"]) if "feature" in feature else feature


def _names(told: Any) -> list[str]:
    """In the order of their numbers; early versions wrote `{"0": name}`."""
    return [str(name) for name in (told.values() if isinstance(told, dict) else told)]


def _plain(value: Any) -> Any:
    missing = isinstance(value, float) and value != value  # noqa: PLR0124 - NaN differs from itself
    return None if missing else value


def _picture(value: Any, blobs: BinaryIO) -> Any:
    """Where the picture's bytes are put; None where there are none."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None:
        return None
    start = blobs.tell()
    blobs.write(data)
    return {"offset": start, "length": len(data)}


def _odd(value: Any) -> Any:
    """A decimal number as it is written; what no row may hold, so that whoever needs it refuses."""
    if isinstance(value, Decimal):
        with localcontext() as exact:
            exact.prec = 1000
            return int(value) if value == value.to_integral_value() else str(value.normalize())
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, date | time) else {"type": str(type(value))}


def _os_reason(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "storage_full", "no space is left"
    if error.errno == errno.EFBIG:
        return "archive_bomb", "it unpacks to too much"
    return "archive_corrupt", str(error)[:300]


def _say(code: str, message: str) -> int:
    sys.stderr.write(json.dumps({"code": code, "message": message}))
    return 1


Read = Callable[[str, dict[str, Any], BinaryIO], Iterator[Row]]

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[4] / "infra" / "processes" / "leash.py"))["obey"]()
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
