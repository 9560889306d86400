"""Settings are read once per change, and those that are no settings are not read at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.infra import weights
from app.infra.found_backbones import settings_files
from app.infra.found_backbones.settings_files import told


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was parsed, in order."""
    texts: list[str] = []
    loads = json.loads

    def counted(text: str | bytes) -> object:
        texts.append(str(text))
        return loads(text)

    monkeypatch.setattr(settings_files.json, "loads", counted)
    monkeypatch.setattr(settings_files, "_KEPT", settings_files._Kept(settings_files._BUDGET))
    return texts


def _write(file: Path, said: object) -> None:
    file.write_text(json.dumps(said), "utf-8")


def test_a_file_is_parsed_once_per_change(tmp_path: Path, parsed: list[str]) -> None:
    file = tmp_path / "config.json"
    _write(file, {"hidden_size": 48})
    for _ in range(3):
        said = told(file)
        assert said == {"hidden_size": 48}
        said["hidden_size"] = 1  # whoever changes theirs changes nobody else's
    assert len(parsed) == 1
    _write(file, {"hidden_size": 64})
    os.utime(file, ns=(1, 1))
    assert told(file) == {"hidden_size": 64}
    assert len(parsed) == 2


def test_a_listing_parses_every_folder_s_settings_once(tmp_path: Path, parsed: list[str]) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        _write(tmp_path / name / "config.json", {"hidden_size": 48, "name": name})
    for _ in range(2):
        for name in weights.registry(tmp_path):
            weights.availability(name, tmp_path)
            weights.find(name, tmp_path)
    own = [one for one in parsed if '"hidden_size": 48' in one]
    assert len(own) == 3


def test_what_is_wrong_is_found_once_and_said_each_time(tmp_path: Path, parsed: list[str]) -> None:
    file = tmp_path / "config.json"
    file.write_text("{", "utf-8")
    for _ in range(2):
        with pytest.raises(HeadstartError, match=r"config\.json: it is no JSON") as refused:
            told(file)
        assert refused.value.code == "weights_invalid"
    assert len(parsed) == 1


@pytest.mark.parametrize(
    ("name", "most"),
    [("config.json", settings_files.MOST), ("tokenizer.json", settings_files.MOST_TOKENS)],
)
def test_a_file_of_many_megabytes_is_refused_unread(
    name: str, most: int, tmp_path: Path, parsed: list[str]
) -> None:
    file = tmp_path / name
    with file.open("wb") as written:
        written.truncate(most + 1)
    with pytest.raises(HeadstartError, match=f"{name}: it has {most + 1:,} bytes"):
        told(file)
    assert not parsed


def test_thousands_of_classes_are_read_and_not_kept(tmp_path: Path) -> None:
    names = {str(place): f"class name number {place}" for place in range(21_841)}
    said = {"hidden_size": 48, "id2label": names, "label2id": {v: k for k, v in names.items()}}
    _write(tmp_path / "config.json", said)
    assert told(tmp_path / "config.json") == {"hidden_size": 48}


def test_what_is_kept_stays_within_its_budget(tmp_path: Path) -> None:
    kept = settings_files._Kept(5000)
    for place in range(9):
        file = tmp_path / f"{place}.json"
        _write(file, {"a": "x" * 500})
        assert kept.read(file)["a"] == "x" * 500
        assert kept._size <= 5000
    assert len(kept._entries) == 3
