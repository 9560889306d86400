"""A program: examples to Parquet, as Hugging Face's `datasets` lays them out.

Usage: parquet_child.py ROWS TARGET BOUNDS; ROWS has one JSON object a line. The status is 3
without pyarrow. It imports nothing of ours, so that it runs by path.
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

AT_ONCE = 200
"""Rows of a row group: as many images are held in memory."""
MISSING = 3
_NAMES = ("label", "labels", "group", "split")


def main(rows: str, target: str, bounds: dict[str, Any]) -> int:
    """Write `target`; the exit status."""
    resource.setrlimit(resource.RLIMIT_CPU, (bounds["seconds"], bounds["seconds"]))
    resource.setrlimit(resource.RLIMIT_AS, (bounds["memory"], bounds["memory"]))
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return MISSING
    pyarrow.set_cpu_count(1)
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    first = ("text", pyarrow.string()) if bounds["modality"] == "text" else ("image", picture)
    label = ("label", pyarrow.string())
    if bounds["several"]:
        label = ("labels", pyarrow.list_(pyarrow.string()))
    rest = [label, *((name, pyarrow.string()) for name in ("group", "split"))]
    schema = pyarrow.schema([first, *rest], metadata=_metadata(first[0], label[0]))
    with Path(rows).open(encoding="utf-8") as lines, parquet.ParquetWriter(target, schema) as out:
        while some := list(islice(_values(lines, first[0]), AT_ONCE)):
            out.write_table(pyarrow.Table.from_pylist(some, schema=schema))
    return 0


def _metadata(first: str, label: str) -> dict[str, str]:
    """What makes `datasets` show pictures instead of their bytes."""
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, Any] = {first: {"_type": "Image"} if first == "image" else text}
    features |= dict.fromkeys(("group", "split"), text)
    features[label] = text if label == "label" else [text]
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _values(lines: Iterator[str], first: str) -> Iterator[dict[str, Any]]:
    for line in lines:
        told = json.loads(line)
        path, offset, length = told["place"]
        with Path(path).open("rb") as pack:
            pack.seek(offset)
            data = pack.read(length)
        value = data.decode() if first == "text" else {"bytes": data, "path": told["id"]}
        yield {first: value, **{name: told.get(name) for name in _NAMES}}


if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parents[2] / "infra" / "processes" / "leash.py"))["obey"]()
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
