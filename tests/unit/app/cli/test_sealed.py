"""`headstart secrets`, and keys where services are prepared, backed up and restored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from app.cli.commands import cli
from app.cli.embedded import prepare
from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.database import Sessions, make_sessions, now, open_engine, reading, transaction
from app.infra.orm import WebhookRow
from app.infra.repositories import sealing
from app.infra.settings import Settings
from app.infra.vault import keys, open_vault
from app.operations.backups import rows
from app.operations.sealed import advice
from tests.factories import make_key

pytestmark = pytest.mark.slow

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A former release's folder: a webhook's secret as it is, and no key."""
    data = tmp_path / "data"
    prepare(Settings(data_dir=data))
    (data / keys.FILE).unlink()
    with database(data) as sessions:
        make_key(sessions)
        with transaction(sessions) as session:
            at = now(session)
            session.add(
                WebhookRow(
                    id="we_1", organisation_id="default", url="https://x.example", events=["*"],
                    description="", secret=SECRET, created_at=at, updated_at=at,
                )
            )  # fmt: skip
    return data


@contextmanager
def database(folder: Path) -> Iterator[Sessions]:
    """Sessions on a folder's database until the block ends."""
    engine = open_engine(Settings(data_dir=folder).database)
    yield make_sessions(engine)
    engine.dispose()


def run(*command: str) -> Result:
    found = CliRunner().invoke(cli, list(command))
    if isinstance(found.exception, HeadstartError):
        raise found.exception
    return found


def secret_of(folder: Path) -> str:
    with database(folder) as sessions, reading(sessions) as session:
        row = session.get_one(WebhookRow, "we_1")
        return sealing.told(open_vault(Settings(data_dir=folder)), row.secret, row)


def to_do(folder: Path) -> list[str]:
    settings = Settings(data_dir=folder)
    with database(folder) as sessions, reading(sessions) as session:
        return list(advice(session, open_vault(settings), settings))


def test_a_former_releases_folder_is_sealed_when_it_is_prepared(folder: Path) -> None:
    assert len(to_do(folder)) == 1
    prepare(Settings(data_dir=folder))
    assert to_do(folder) == []
    assert secret_of(folder) == SECRET
    assert SECRET.encode() not in b"".join(one.read_bytes() for one in folder.glob("headstart.db*"))


def test_a_key_that_is_gone_is_named_and_not_replaced(folder: Path) -> None:
    prepare(Settings(data_dir=folder))
    (folder / keys.FILE).rename(folder / "elsewhere")
    prepare(Settings(data_dir=folder))
    assert not (folder / keys.FILE).exists(), "it would be overwritten when the old one comes back"
    (told,) = to_do(folder)
    assert secret_keys.name_of(secret_keys.several((folder / "elsewhere").read_text())[0]) in told
    shown = run("secrets", "status", "--json", "--data-dir", str(folder))
    assert (shown.exit_code, json.loads(shown.stdout)["to_do"]) == (1, [told])
    with pytest.raises(HeadstartError) as refused:
        secret_of(folder)
    assert refused.value.code == "secret_unreadable"
    (folder / "elsewhere").rename(folder / keys.FILE)
    assert secret_of(folder) == SECRET


def test_a_key_is_rotated(folder: Path) -> None:
    prepare(Settings(data_dir=folder))
    former = (folder / keys.FILE).read_text()
    assert run("secrets", "rotate", "--data-dir", str(folder)).exit_code == 0
    assert (folder / keys.FILE).read_text().endswith(former)
    told = json.loads(run("secrets", "status", "--json", "--data-dir", str(folder)).stdout)
    assert [one["secrets"] for one in told["keys"]] == [1, 0]
    assert told["to_do"] == []
    (folder / keys.FILE).write_text((folder / keys.FILE).read_text().splitlines()[0])
    assert secret_of(folder) == SECRET


def test_keys_of_a_setting_are_rotated_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(Settings(data_dir=folder))
    monkeypatch.setenv("HEADSTART_SECRETS_KEY", secret_keys.new())
    with pytest.raises(HeadstartError, match="HEADSTART_SECRETS_KEY"):
        run("secrets", "rotate", "--data-dir", str(folder))
    assert "1 secrets are sealed anew" in run("secrets", "reseal", "--data-dir", str(folder)).stdout


def test_without_a_key_and_with_nothing_sealed_there_is_something_to_do(folder: Path) -> None:
    (told,) = to_do(folder)
    assert "as they are" in told


def test_a_printed_key_can_be_used() -> None:
    assert len(secret_keys.several(run("secrets", "new-key").stdout)) == 1


@pytest.mark.parametrize("with_key", [False, True])
def test_a_backup_says_whether_it_opens_its_own_secrets(
    folder: Path, tmp_path: Path, with_key: bool
) -> None:
    prepare(Settings(data_dir=folder))
    name = open_vault(Settings(data_dir=folder)).newest
    target, new = tmp_path / "backup", tmp_path / "new"
    more = ["--with-secrets-key"] if with_key else []
    assert run("backup", str(target), "--data-dir", str(folder), *more).exit_code == 0
    told = json.loads((target / "backup.json").read_text())["secrets"]
    assert told == {"sealed": {name: 1}, "keys_in_it": with_key}
    assert (target / "secrets-key").exists() is with_key
    restored = run("restore", str(target), "--data-dir", str(new))
    assert restored.exit_code == 0, "a key may come later"
    assert name is not None
    assert (name in restored.output) is not with_key
    made = json.loads((target / "backup.json").read_text())["made"]
    assert f"It is as it was at {made}: what was erased" in restored.output
    if not with_key:
        prepare(Settings(data_dir=new))
        shutil.copy(folder / keys.FILE, new / keys.FILE)
    assert secret_of(new) == SECRET


def test_a_backup_does_not_say_that_it_has_a_key_which_is_not_here(
    folder: Path, tmp_path: Path
) -> None:
    """Asked for keys it fails; as it does for a file that lacks."""
    prepare(Settings(data_dir=folder))
    name = str(open_vault(Settings(data_dir=folder)).newest)
    (folder / keys.FILE).write_text(secret_keys.new() + "\n")
    target = tmp_path / "with"
    found = run("backup", str(target), "--data-dir", str(folder), "--with-secrets-key")
    told = " ".join(found.output.split())
    assert found.exit_code == 1
    assert "the keys that open 0 of its 1 secrets are in it" in told
    assert f"missing the key {name}, which opens 1 secrets, is not on this machine" in told
    listed = json.loads((target / "backup.json").read_text())["secrets"]
    assert listed == {"sealed": {name: 1}, "keys_in_it": False}
    found = run("backup", str(tmp_path / "without"), "--data-dir", str(folder))
    told = " ".join(found.output.split())
    assert found.exit_code == 0, "none was asked for"
    assert "no key of this machine opens its 1 secrets" in told
    assert name in told


def test_a_backup_has_the_key_of_a_rotation_that_comes_between(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(Settings(data_dir=folder))
    save = rows.save

    def save_late(engine: Engine, target: Path) -> None:
        assert run("secrets", "rotate", "--data-dir", str(folder)).exit_code == 0
        save(engine, target)

    monkeypatch.setattr(rows, "save", save_late)
    target, new = tmp_path / "backup.tar", tmp_path / "new"
    asked = ("--data-dir", str(folder), "--with-secrets-key")
    assert run("backup", str(target), *asked).exit_code == 0
    assert "still missing" not in run("restore", str(target), "--data-dir", str(new)).output
    assert secret_of(new) == SECRET


def test_what_was_backed_up_before_there_were_keys_is_restored(
    folder: Path, tmp_path: Path
) -> None:
    target, new = tmp_path / "backup.tar", tmp_path / "new"
    assert run("backup", str(target), "--data-dir", str(folder)).exit_code == 0
    assert run("restore", str(target), "--data-dir", str(new)).exit_code == 0
    prepare(Settings(data_dir=new))
    assert secret_of(new) == SECRET


def test_nothing_is_sealed_anew_without_a_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_DATABASE_URL", f"sqlite:///{folder / 'headstart.db'}")
    with pytest.raises(HeadstartError, match="no key"):
        run("secrets", "reseal", "--data-dir", str(folder))
