"""The first key's file, and what `keys create` takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from app.accounts.service import live_keys
from app.cli.commands import cli
from app.cli.embedded import prepare
from app.core.errors import HeadstartError
from app.http.keyring import find_key
from app.infra.database import make_sessions, open_engine, reading
from app.infra.settings import Settings

pytestmark = pytest.mark.slow


class _NoSpaceError(Exception):
    """What breaks a commit here."""


@pytest.fixture
def broken() -> Iterator[None]:
    """No commit succeeds."""

    def fail(session: Session) -> None:
        raise _NoSpaceError

    event.listen(Session, "before_commit", fail)
    yield
    event.remove(Session, "before_commit", fail)


def test_a_key_that_was_not_committed_is_in_no_file(tmp_path: Path, broken: None) -> None:
    with pytest.raises(_NoSpaceError):
        prepare(Settings(data_dir=tmp_path))
    assert [path for path in tmp_path.iterdir() if "api-key" in path.name] == []


def test_the_key_in_the_file_opens_the_service(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    prepare(settings)
    path = tmp_path / "api-key"
    key = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    engine = open_engine(settings.database)
    with reading(make_sessions(engine)) as session:
        assert find_key(session, key.strip()) is not None
    engine.dispose()
    prepare(settings)
    assert path.read_text() == key


def test_a_schema_can_be_prepared_without_a_key(tmp_path: Path) -> None:
    """Where the folder does not outlive the command, nobody would ever read it."""
    found = CliRunner().invoke(cli, ["prepare", "--no-key", "--data-dir", str(tmp_path)])
    assert found.exit_code == 0
    assert not (tmp_path / "api-key").exists()
    engine = open_engine(Settings(data_dir=tmp_path).database)
    with reading(make_sessions(engine)) as session:
        assert session.scalars(live_keys()).all() == []
    engine.dispose()


@pytest.mark.parametrize("name", ["../x", "a:b", "", "A", "x" * 65, "acme\n"])
def test_an_organisation_is_named_as_over_http(tmp_path: Path, name: str) -> None:
    command = ["keys", "create", "--organisation", name, "--data-dir", str(tmp_path)]
    found = CliRunner().invoke(cli, command)
    assert isinstance(found.exception, HeadstartError)
    assert (found.exception.code, found.exception.param) == ("invalid_value", "organisation")
