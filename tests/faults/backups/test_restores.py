"""Restores that fail or are killed half-way, on either footing: what they leave, and what then."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import HeadstartError
from app.infra.repositories import references
from app.infra.settings import Settings
from app.infra.vault import keys
from app.operations.backups import rows
from app.operations.backups.restores import restore
from tests.unit.app.operations.backup_files import PACK, doctored, left_in, packed, whole
from tests.worker_kit import Kit
from tests.workers import environment

WEBHOOK = """
INSERT INTO webhooks (id, organisation_id, url, events, description, secret, enabled, created_at,
    updated_at)
VALUES ('we_1', 'nobody', 'https://x.example', '[]', '', 'x', 1, 0, 0)
"""
STALLED = """
import sys, time
from app.infra.storage import LocalStorage
store, stored = LocalStorage.put, []
def put(self, key, file):
    store(self, key, file)
    stored.append(key)
    if len(stored) == 2:
        print("placed", flush=True)
        time.sleep(600)
LocalStorage.put = put
from app.cli.commands import main
main()
"""


def stored(kit: Kit) -> list[str]:
    return [key for top in references.FOLDERS for key in kit.storage.keys(top)]


def assert_empty(kit: Kit) -> None:
    assert (stored(kit), rows.is_empty(kit.engine)) == ([], True)
    assert not (kit.settings.data_dir / keys.FILE).exists()
    kit.engine.dispose()


@pytest.fixture
def good(footing: Kit, tmp_path: Path) -> Path:
    """A backup that the footing, which is empty, takes."""
    footing.engine.dispose()
    path = tmp_path / "good.tar"
    path.write_bytes(packed(whole()))
    return path


def fail(code: str) -> Callable[..., None]:
    def failing(*_given: Any, **_told: Any) -> None:
        raise HeadstartError(code)

    return failing


def break_storage(footing: Kit, patched: pytest.MonkeyPatch) -> None:
    """The third file finds no space."""
    kind, count = type(footing.storage), iter(range(9))
    put = kind.put

    def third(self: Any, key: str, file: Path) -> None:
        (fail("storage_full") if next(count) == 2 else put)(self, key, file)

    patched.setattr(kind, "put", third)


def break_keys(_footing: Kit, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(keys, "put_first", fail("storage_full"))


def break_rows(footing: Kit, patched: pytest.MonkeyPatch) -> None:
    """When the keys are in their place."""
    put = keys.put_first

    def put_and_fail(folder: Path, told: list[bytes]) -> str:
        after.append(put(folder, told))
        return after[0]

    after: list[str] = []
    if footing.settings.database_url:
        patched.setattr(rows, "_set_sequence", fail("database_unavailable"))
    else:
        patched.setattr(rows, "place", fail("database_unavailable"))
    patched.setattr(keys, "put_first", put_and_fail)


@pytest.mark.parametrize("broken", [break_storage, break_keys, break_rows])
def test_a_restore_that_fails_leaves_nothing_and_can_be_made_again(
    footing: Kit, good: Path, monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[Kit, pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    with monkeypatch.context() as patched:
        broken(footing, patched)
        with pytest.raises(HeadstartError) as caught:
            restore(footing.settings, good)
    assert caught.value.code in ("storage_full", "database_unavailable")
    assert_empty(footing)
    restore(footing.settings, good)
    assert len(stored(footing)) == 3


def test_a_damaged_backup_leaves_nothing_and_another_is_taken(
    footing: Kit, good: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.tar"
    for last in (PACK, "headstart.db", "secrets-key"):
        data = bytearray(good.read_bytes())
        at = data.index(whole()[last])
        data[at + len(whole()[last]) // 2] ^= 1
        damaged.write_bytes(data)
        with pytest.raises(HeadstartError) as caught:
            restore(footing.settings, damaged)
        assert caught.value.code == "invalid_value"
        assert_empty(footing)
    restore(footing.settings, good)
    assert len(stored(footing)) == 3


@pytest.mark.servers
def test_rows_that_postgres_refuses_leave_nothing(postgres_kit: Kit, tmp_path: Path) -> None:
    source = tmp_path / "strange.tar"
    source.write_bytes(packed({**whole(), "headstart.db": doctored(WEBHOOK)}))
    with pytest.raises(HeadstartError, match="refuses") as caught:
        restore(postgres_kit.settings, source)
    assert (caught.value.code, "\n" in caught.value.message) == ("invalid_value", False)
    assert_empty(postgres_kit)


@pytest.mark.servers
def test_what_may_have_been_committed_is_not_taken_back(
    postgres_kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database went while it was told to commit: the files of its rows stay, and the keys."""
    source = tmp_path / "good.tar"
    source.write_bytes(packed(whole()))
    monkeypatch.setattr(rows, "_set_sequence", fail("database_unavailable"))
    answers: Iterator[Callable[[], Any]] = iter([lambda: True, fail("database_unavailable")])
    monkeypatch.setattr(rows, "is_empty", lambda _engine: next(answers)())
    with pytest.raises(HeadstartError, match="3 files of the backup are left"):
        restore(postgres_kit.settings, source)
    assert len(stored(postgres_kit)) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_restore_that_is_ended_half_way(tmp_path: Path, number: signal.Signals) -> None:
    """Who is told to end takes everything back; who is killed leaves what the same backup is
    restored over.
    """
    source, settings = tmp_path / "good.tar", Settings(data_dir=tmp_path / "new")
    source.write_bytes(packed(whole()))
    command = [sys.executable, "-c", STALLED, "restore", str(source)]
    with subprocess.Popen(
        command, env=environment(settings), stdout=subprocess.PIPE, text=True
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "placed\n"
        child.send_signal(number)
    left = [name for name in left_in(settings.data_dir) if name.startswith("storage/")]
    assert len(left) == (2 if number == signal.SIGKILL else 0)
    assert restore(settings, source).files == len(whole())
