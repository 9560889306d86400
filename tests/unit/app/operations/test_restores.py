"""What is restored of a backup that is not as it was: nothing, in one line that says why."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.settings import Settings
from app.infra.storage import LocalStorage
from app.infra.vault import keys
from app.operations.backups import rows
from app.operations.backups.restores import restore
from tests.unit.app.operations.backup_files import (
    KEY,
    PACK,
    Document,
    doctored,
    left_in,
    listed,
    packed,
    whole,
)

pytestmark = pytest.mark.slow


def refused(source: Path, folder: Path) -> str:
    """Why it is refused, which is one line; nothing is left of it."""
    before = left_in(folder)
    with pytest.raises(HeadstartError) as caught:
        restore(Settings(data_dir=folder), source)
    assert (caught.value.code, caught.value.message.count("\n")) == ("invalid_value", 0)
    assert left_in(folder) == before
    return caught.value.message


def assert_takes(folder: Path, source: Path) -> None:
    """The folder takes a good backup."""
    source.write_bytes(packed(whole()))
    done = restore(Settings(data_dir=folder), source)
    assert (done.files, done.missing, done.has_keys) == (len(whole()), [], True)
    found = left_in(folder)
    assert {name: found[name] for name in whole() if name != "headstart.db"} == {
        name: data for name, data in whole().items() if name != "headstart.db"
    }


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes a backup's bytes to a file."""

    def write(data: bytes) -> Path:
        (tmp_path / "backup.tar").write_bytes(data)
        return tmp_path / "backup.tar"

    return write


def each(change: Callable[[Document], Any]) -> Callable[[Document], Document]:
    """A list each of whose files is told in another way."""
    return lambda told: {
        **told, "files": {name: change(one) for name, one in told["files"].items()}
    }  # fmt: skip


LISTS: dict[str, Callable[[Document], Any]] = {
    "a list": lambda told: [told],
    "null": lambda told: None,
    "the format alone": lambda told: {"format": 1},
    "a later format": lambda told: {**told, "format": 2},
    "no format": lambda told: {"files": told["files"], "missing": []},
    "files are a list": lambda told: {**told, "files": []},
    "no files": lambda told: {**told, "files": {}},
    "no rows": lambda told: {
        **told, "files": {k: v for k, v in told["files"].items() if k != "headstart.db"}
    },
    "files are null": each(lambda one: None),
    "no hash": each(lambda one: {"bytes": one["bytes"]}),
    "no size": each(lambda one: {"sha256": one["sha256"]}),
    "a size in words": each(lambda one: {**one, "bytes": str(one["bytes"])}),
    "a size below none": each(lambda one: {**one, "bytes": -1}),
    "another size": each(lambda one: {**one, "bytes": one["bytes"] + 1}),
    "a hash that is none": each(lambda one: {**one, "sha256": one["sha256"].upper()}),
    "a hash and a line": each(lambda one: {**one, "sha256": one["sha256"] + "\n"}),
    "missing is a number": lambda told: {**told, "missing": 7},
    "missing is of numbers": lambda told: {**told, "missing": [7]},
    "missing has escapes": lambda told: {**told, "missing": ["\x1b[2J"]},
    "nothing is told of what is missing": lambda told: {
        k: v for k, v in told.items() if k != "missing"
    },
}  # fmt: skip


@pytest.mark.parametrize("change", LISTS.values(), ids=list(LISTS))
def test_a_list_of_another_form_is_refused(
    tmp_path: Path, put: Callable[[bytes], Path], change: Callable[[Document], Any]
) -> None:
    document = json.dumps(change(listed(whole()))).encode()
    refused(put(packed(whole(), document)), tmp_path / "new")
    assert_takes(tmp_path / "new", tmp_path / "good.tar")


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[" * 200_000, b"\xff\xfe{\x00", b'{"format":1,"files":{"\\ud800":{}}}', b"NaN"],
    ids=["empty", "cut", "deep", "UTF-16", "half a character", "no number"],
)
def test_what_is_no_json_is_refused(
    tmp_path: Path, put: Callable[[bytes], Path], document: bytes
) -> None:
    refused(put(packed(whole(), document)), tmp_path / "new")


NAMES = [
    "../../evil", "storage/../../evil", "/evil", "storage/packs/../../../evil",
    "storage/./packs/x", "storage//packs/x", "storage/evil/x", "storage/packs", "storage",
    "storage/packs/default/\x00x", "storage/packs/default/\nx", "storage/packs\\..\\x",
    "storage/packs/default/.hidden", "storage/packs/default/", "storage/packs/" + "a" * 300,
    "storage/packs/" + "\u00e9" * 200, "storage/packs/default/" + "b/" * 2000 + "x",
    "storage/packs/" + "/".join(["c" * 200] * 6), "storage/packs/default", f"{PACK}/x",
    "secrets-key/x", "headstart.db/x", "headstart.db-wal", "backup.json", "api-key", "",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=[str(at) for at in range(len(NAMES))])
def test_a_name_that_no_file_of_a_backup_has_is_refused(
    tmp_path: Path, put: Callable[[bytes], Path], name: str
) -> None:
    files = {**whole(), name: b"evil"}
    document = json.dumps(listed(files)).encode()
    refused(put(packed(whole(), document)), tmp_path / "new")
    assert [
        path.name for path in tmp_path.iterdir() if path.name not in ("new", "backup.tar")
    ] == []


FILES: dict[str, Callable[[], dict[str, bytes]]] = {
    "rows that are no database": lambda: {"headstart.db": b"hello"},
    "rows that are empty": lambda: {"headstart.db": b""},
    "rows of a later release": lambda: {
        "headstart.db": doctored("UPDATE alembic_version SET version_num = '0999'")
    },
    "rows of no known release": lambda: {
        "headstart.db": doctored("UPDATE alembic_version SET version_num = 'x'")
    },
    "rows of no release": lambda: {"headstart.db": doctored("DELETE FROM alembic_version")},
    "rows without a table": lambda: {"headstart.db": doctored("DROP TABLE erasures")},
    "rows whose pages are damaged": lambda: {
        "headstart.db": whole()["headstart.db"][:8192]
        + bytes(4096)
        + whole()["headstart.db"][12288:]
    },
    "keys that are none": lambda: {"secrets-key": b"hello"},
    "keys that are no text": lambda: {"secrets-key": b"\xff\xfe"},
}


@pytest.mark.parametrize("change", FILES.values(), ids=list(FILES))
def test_what_is_listed_rightly_and_is_not_what_it_should_be_is_refused(
    tmp_path: Path, put: Callable[[bytes], Path], change: Callable[[], dict[str, bytes]]
) -> None:
    refused(put(packed({**whole(), **change()})), tmp_path / "new")
    assert_takes(tmp_path / "new", tmp_path / "good.tar")


def test_a_folder_is_looked_at_as_a_tar_is(tmp_path: Path) -> None:
    for name, data in {**whole(), "backup.json": json.dumps(listed(whole())).encode()}.items():
        (tmp_path / "backup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "backup" / name).write_bytes(data)
    last = tmp_path / "backup" / PACK
    last.write_bytes(b"bytes of picture_")
    assert PACK in refused(tmp_path / "backup", tmp_path / "new")
    last.unlink()
    assert PACK in refused(tmp_path / "backup", tmp_path / "new")
    last.symlink_to(tmp_path)
    assert PACK in refused(tmp_path / "backup", tmp_path / "new")
    last.unlink()
    last.write_bytes(whole()[PACK])
    strange = last.with_name("strange")
    strange.touch()
    assert "strange" in refused(tmp_path / "backup", tmp_path / "new")
    strange.unlink()
    restore(Settings(data_dir=tmp_path / "new"), tmp_path / "backup")
    assert (tmp_path / "new" / PACK).read_bytes() == whole()[PACK]


@pytest.mark.parametrize("moment", ["files", "rows"])
@pytest.mark.parametrize("own", [False, True], ids=["no key of its own", "a key of its own"])
def test_what_was_placed_is_taken_back_where_the_rest_fails(
    tmp_path: Path, put: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch,
    moment: str, own: bool,
) -> None:  # fmt: skip
    folder, source = tmp_path / "new", put(packed(whole()))
    if own:
        folder.mkdir()
        keys.make(folder)
    before = left_in(folder)

    def full(*_given: Any, **_told: Any) -> None:
        raise HeadstartError("storage_full")

    stored: list[str] = []
    store = LocalStorage.put

    def fill(self: LocalStorage, key: str, file: Path) -> None:
        full() if len(stored) == 2 else stored.append(key)
        store(self, key, file)

    with monkeypatch.context() as patched:
        if moment == "files":
            patched.setattr(LocalStorage, "put", fill)
        else:
            patched.setattr(rows, "place", full)  # the keys are in their place by then
        with pytest.raises(HeadstartError, match="full") as caught:
            restore(Settings(data_dir=folder), source)
        assert caught.value.code == "storage_full"
    assert left_in(folder) == before
    restore(Settings(data_dir=folder), source)
    told = secret_keys.several((folder / keys.FILE).read_text())
    assert (told[0], len(told)) == (secret_keys.decode(KEY), 1 + own)


def test_what_cannot_be_taken_back_is_told(
    tmp_path: Path, put: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = put(packed(whole())), tmp_path / "new"

    def away(*_given: Any, **_told: Any) -> None:
        raise HeadstartError("storage_unavailable", "the storage cannot be reached; try again")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "load", away)
        patched.setattr(LocalStorage, "delete", away)
        with pytest.raises(HeadstartError, match="3 files of the backup are left") as caught:
            restore(Settings(data_dir=folder), source)
        assert caught.value.code == "storage_unavailable"
    restore(Settings(data_dir=folder), source)


def test_a_backup_without_any_key_keeps_none_from_being_made(tmp_path: Path) -> None:
    source = tmp_path / "backup.tar"
    source.write_bytes(packed({**whole(), "secrets-key": b""}))
    restore(Settings(data_dir=tmp_path / "new"), source)
    keys.make(tmp_path / "new")
    assert len(secret_keys.several((tmp_path / "new" / keys.FILE).read_text())) == 1


def assert_whole_or_nothing(data: bytes) -> None:
    """It is restored as it was, or refused in one line with nothing left."""
    with TemporaryDirectory() as parent:
        source, folder = Path(parent, "backup"), Path(parent, "new")
        source.write_bytes(data)
        refusal = None
        try:
            restore(Settings(data_dir=folder), source)
        except HeadstartError as error:
            refusal = error
        found = left_in(folder)
    if refusal is None:
        assert {name: found[name] for name in whole() if name != "headstart.db"} == {
            name: data for name, data in whole().items() if name != "headstart.db"
        }
    else:
        assert (refusal.code, "\n" in refusal.message, found) == ("invalid_value", False, {})


@settings(max_examples=60)
@given(st.booleans(), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=3))
@example(packs=False, flips=[])
def test_however_its_bytes_are_damaged_it_is_whole_or_nothing(
    packs: bool, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(packed(whole()))
    data = bytearray(gzip.compress(data, 1, mtime=0)) if packs else data
    for where, mask in flips:
        data[int(where * (len(data) - 1))] ^= mask
    assert_whole_or_nothing(bytes(data))


@settings(max_examples=25)
@given(st.booleans(), st.floats(0, 0.999))
def test_wherever_it_is_cut_it_is_whole_or_nothing(packs: bool, where: float) -> None:
    data = packed(whole())
    data = gzip.compress(data, 1, mtime=0) if packs else data
    assert_whole_or_nothing(data[: int(where * len(data))])
