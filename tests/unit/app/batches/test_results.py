"""Results leave piece by piece, whole, and as cells that spreadsheets read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from app.batches import results
from app.batches.results import Format
from app.core.errors import HeadstartError
from app.infra.orm import BatchPartRow
from app.infra.storage import LocalStorage, sha256_of

pytestmark = pytest.mark.slow

LINES = 20_000


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


def store(storage: LocalStorage, folder: Path, number: int) -> list[BatchPartRow]:
    """`number` parts of many lines each."""
    parts = []
    for part in range(number):
        start = part * LINES
        data = b"".join(line(start + i) for i in range(LINES))
        path = folder / "part"
        path.write_bytes(data)
        storage.put(f"batches/{part}", path)
        parts.append(BatchPartRow(start=start, key=f"batches/{part}", bytes=len(data)))
    return parts


def line(index: int) -> bytes:
    told = {"index": index, "path": f'a, "b"/{index}.png', "label": "é", "probability": 0.5}
    told |= {"unknown": True, "familiarity": 0.25, "predictions": []}
    return json.dumps(told).encode() + b"\n"


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_no_piece_is_large(storage: LocalStorage, tmp_path: Path, kind: Format) -> None:
    pieces = list(results.stream(storage, store(storage, tmp_path, 3), kind))
    assert max(map(len, pieces)) <= 512 * 1024
    lines = b"".join(pieces).decode().splitlines()
    assert len(lines) == 3 * LINES + (kind == "csv")


def test_jsonl_is_what_was_stored(storage: LocalStorage, tmp_path: Path) -> None:
    parts = store(storage, tmp_path, 2)
    whole = b"".join(results.stream(storage, parts, "jsonl"))
    assert len(whole) == sum(part.bytes for part in parts)
    assert [json.loads(one)["index"] for one in whole.splitlines()] == [*range(2 * LINES)]


def test_csv_keeps_odd_names(storage: LocalStorage, tmp_path: Path) -> None:
    whole = b"".join(results.stream(storage, store(storage, tmp_path, 1), "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(whole)))
    assert rows[7]["path"] == 'a, "b"/7.png'
    assert (rows[7]["label"], rows[7]["unknown"], rows[7]["error_code"]) == ("é", "true", "")
    assert rows[7]["familiarity"] == "0.25"
    assert tuple(rows[0]) == results.COLUMNS


def test_no_text_of_a_csv_is_a_formula(storage: LocalStorage, tmp_path: Path) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "a=b", ""]
    error = {"code": "image_invalid", "message": "=no image"}
    told = [
        {"index": 0, "id": name, "path": name, "label": name, "expected": name, "split": name}
        | {"probability": -0.5, "error": error}
        for name in names
    ]
    path = tmp_path / "part"
    path.write_text("".join(json.dumps(one) + "\n" for one in told))
    size = path.stat().st_size
    storage.put("batches/odd", path)
    parts = [BatchPartRow(start=0, key="batches/odd", bytes=size)]
    text = b"".join(results.stream(storage, parts, "csv")).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    safe = [f"'{name}" for name in names[:6]] + names[6:]
    for column in ("id", "path", "label", "expected", "split"):
        assert [row[column] for row in rows] == safe, column
    assert {row["error_message"] for row in rows} == {"'=no image"}
    assert {row["probability"] for row in rows} == {"-0.5"}
    exact = b"".join(results.stream(storage, parts, "jsonl")).splitlines()
    assert [json.loads(one) for one in exact] == told


def test_the_first_missing_part_is_said_before_anything_is_sent(
    storage: LocalStorage, tmp_path: Path
) -> None:
    parts = store(storage, tmp_path, 1)
    storage.delete(parts[0].key)
    with pytest.raises(HeadstartError) as raised:
        results.stream(storage, parts, "jsonl")
    assert raised.value.code == "storage_unavailable"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "jsonl"),
        ("*/*", "jsonl"),
        ("text/csv", "csv"),
        ("application/json, text/CSV;q=0.5", "csv"),
        ("text/csv-schema", "jsonl"),
    ],
)
def test_accept_chooses_the_format(accept: str, kind: str) -> None:
    assert results.wanted(accept) == kind


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_results_are_said_before_anything_is_sent(
    storage: LocalStorage, tmp_path: Path, kind: Format, damage: str
) -> None:
    parts = store(storage, tmp_path, 3)
    for part in parts:
        part.sha256 = sha256_of(storage.fetch(part.key))
    path = storage.fetch(parts[2].key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] if damage == "cut" else whole.replace(b"0.5", b"0.6", 1))
    with pytest.raises(HeadstartError) as caught:
        results.stream(storage, parts, kind)
    assert caught.value.code == "content_corrupt"
    path.write_bytes(whole)
    assert b"".join(results.stream(storage, parts, kind))
