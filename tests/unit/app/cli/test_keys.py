"""`headstart keys`: tenants' keys by whoever may open the database, and the first key renewed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.cli.embedded import prepare
from app.cli.keys import recognised
from app.core.errors import HeadstartError
from app.infra.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(Settings(data_dir=tmp_path))
    return tmp_path


def run(folder: Path, *command: str) -> str:
    found = CliRunner().invoke(cli, ["keys", *command, "--data-dir", str(folder)])
    if found.exception is not None:
        raise found.exception
    return found.stdout.strip()


def test_a_tenants_key_is_listed_and_revoked(folder: Path) -> None:
    key = run(folder, "create", "--organisation", "acme", "--scopes", "read")
    listed = run(folder, "list", "--organisation", "acme")
    assert listed.split("\t")[1:] == ["acme", key[:15], "read", "cli"]
    assert key not in run(folder, "list")
    assert listed.split("\t")[0] in run(folder, "revoke", key[:15])
    assert run(folder, "list", "--organisation", "acme") == ""
    with pytest.raises(HeadstartError, match="no such API key"):
        run(folder, "revoke", key)


def test_the_first_key_is_renewed_whether_or_not_it_was_revoked(folder: Path) -> None:
    settings, path = Settings(data_dir=folder), folder / "api-key"
    seen = {path.read_text().strip()}
    for revoked in (True, False):
        if revoked:
            run(folder, "revoke", path.read_text().strip())
        assert recognised(settings, path) is not revoked
        run(folder, "renew")
        assert recognised(settings, path)
        assert path.stat().st_mode & 0o777 == 0o600
        seen.add(path.read_text().strip())
        assert len(run(folder, "list").splitlines()) == 1
    assert len(seen) == 3


@pytest.mark.parametrize("command", [["list"], ["revoke", "hs_x"], ["renew"]])
def test_where_no_service_has_been_there_are_no_keys(tmp_path: Path, command: list[str]) -> None:
    with pytest.raises(HeadstartError, match="no service has been at"):
        run(tmp_path / "elsewhere", *command)
    assert not (tmp_path / "elsewhere").exists()


def test_the_first_key_may_be_made_before_the_service_is_up(tmp_path: Path) -> None:
    assert run(tmp_path / "new", "create").startswith("hs_")
    assert len(run(tmp_path / "new", "list").splitlines()) == 1


def test_a_further_first_key_is_told_and_the_first_of_all_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=tmp_path)
    prepare(settings)
    prepare(settings)
    assert "further admin key" not in capsys.readouterr().err
    (tmp_path / "api-key").unlink()
    prepare(settings)
    said = "".join(capsys.readouterr().err.split())
    made = run(tmp_path, "list").splitlines()[0].split("\t")[0]
    assert f"afurtheradminkey,{made},wasmade" in said
    assert recognised(settings, tmp_path / "api-key")
