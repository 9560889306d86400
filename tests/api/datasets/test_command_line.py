"""Data from a terminal: pushed, shown, added to, mended, exported and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.commands import cli
from app.cli.remote import connection
from app.core.errors import HeadstartError
from tests.api.jobs.test_jobs import create, dataset
from tests.api.service import Service
from tests.api.uploading import finish
from tests.archives import folders, png

pytestmark = pytest.mark.slow

Run = Callable[..., Result]


@pytest.fixture
def run(service: Service, key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """A command against the running service."""
    monkeypatch.setenv("HEADSTART_URL", service.url)
    monkeypatch.setenv("HEADSTART_API_KEY", key)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)

    def running(*words: str, said: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(words), input=said, catch_exceptions=True)

    return running


def laid(folder: Path, files: dict[str, bytes]) -> str:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return str(folder)


def pushed(run: Run, tmp_path: Path, *, name: str = "cells") -> str:
    told = run("datasets", "push", laid(tmp_path / name, folders({"a": 3, "b": 2})), "--json")
    assert told.exit_code == 0, told.output
    return str(json.loads(told.stdout)["id"])


def test_a_command_looks_for_one_service(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one that is started for it."""
    pushed(run, tmp_path)
    looked: list[str] = []

    def silence(url: str) -> str:
        looked.append(url)
        return ""

    monkeypatch.setattr(connection, "_silence", silence)
    more = laid(tmp_path / "more", {"a/new.png": png(79)})
    assert "at version 2" in run("datasets", "append", "cells", more).stdout
    assert len(looked) == 1


def test_the_whole_story(run: Run, tmp_path: Path, client: httpx.Client) -> None:
    made = pushed(run, tmp_path)
    more = laid(tmp_path / "more", {"a/new.png": png(77), "b/other.png": png(78)})
    dry = run("datasets", "append", "cells", more, "--check")
    assert "7 examples of 2 classes would be kept" in dry.stdout
    added = run("datasets", "append", "cells", more)
    assert "at version 2" in added.stdout
    known = run("datasets", "relabel", "cells", "a/new.png", "b")
    assert (known.exit_code, "new class" in known.output) == (0, False)
    fresh = run("datasets", "relabel", "cells", "a/new.png", "b,a")
    assert "'b,a' is a new class" in fresh.output
    assert run("datasets", "relabel", "cells", "a/new.png", "b").exit_code == 0
    seen = run("datasets", "show", made, "--examples", "10", "--json")
    labels = {one["path"]: one["label"] for one in json.loads(seen.stdout)["examples"]}
    assert labels["a/new.png"] == "b"
    assert run("datasets", "delete", "cells", "a/new.png", "b/other.png").exit_code == 0
    shown = run("datasets", "show", "cells")
    assert "version   7" in shown.stdout
    assert made in shown.stdout
    assert run("datasets", "delete", "cells", said="n\n").exit_code == 1
    assert client.get(f"/v1/datasets/{made}").status_code == 200
    gone = run("datasets", "delete", "cells", said="y\n")
    assert gone.exit_code == 0, gone.output
    assert client.get(f"/v1/datasets/{made}").status_code == 404


def test_examples_are_erased_from_all_versions(
    run: Run, tmp_path: Path, client: httpx.Client, service: Service
) -> None:
    made = pushed(run, tmp_path)
    finish(service, made)
    path = client.get(f"/v1/datasets/{made}/examples").json()["data"][0]["path"]
    assert run("datasets", "erase", "cells").exit_code == 1
    assert run("datasets", "erase", "cells", path, "--group", "g", "-y").exit_code == 1
    assert run("datasets", "erase", "cells", path, said="n\n").exit_code == 1
    assert client.get(f"/v1/datasets/{made}").json()["num_erased"] == 0
    gone = run("datasets", "erase", "cells", path, said="y\n")
    assert gone.exit_code == 0, gone.output
    assert "1 from version 1" in gone.stdout
    assert client.get(f"/v1/datasets/{made}").json()["num_erased"] == 1
    name = client.get(f"/v1/datasets/{made}/examples").json()["data"][0]["sha256"]
    told = json.loads(run("datasets", "erase", made, "--sha256", name, "-y", "--json").stdout)
    assert told["versions"] == [{"version": 1, "erased": 1}]


def test_a_bare_name_that_is_both_a_folder_and_a_dataset_is_not_guessed(
    run: Run, tmp_path: Path, client: httpx.Client
) -> None:
    made = pushed(run, tmp_path)
    told = run("train", "cells", "--no-wait")
    assert isinstance(told.exception, HeadstartError)
    assert "./cells" in told.exception.message
    assert made in told.exception.message
    assert run("train", made, "--no-wait").exit_code == 0
    assert len(client.get("/v1/datasets").json()["data"]) == 1
    assert run("train", "./cells", "--no-wait").exit_code == 0
    assert len(client.get("/v1/datasets").json()["data"]) == 2


def test_a_job_that_is_refused_after_the_upload_says_where_that_is(
    run: Run, tmp_path: Path, client: httpx.Client
) -> None:
    folder = laid(tmp_path / "cells", folders({"a": 3, "b": 2}))
    told = run("train", folder, "--backbone", "nope", "--no-wait")
    (dataset,) = client.get("/v1/datasets").json()["data"]
    assert isinstance(told.exception, HeadstartError)
    assert told.exception.message.endswith(f"headstart train {dataset['id']}")


def test_fields_say_how_it_is_read(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("words,kennel\ngood,a\nbad,b\n")
    fields = ("--field", "text_column=words", "--field", "label_column=kennel")
    told = run("datasets", "push", str(table), *fields)
    assert "2 examples of 2 classes are kept" in told.stdout
    refused = run("datasets", "push", str(table))
    assert isinstance(refused.exception, HeadstartError)
    assert "text_column" in refused.exception.message
    assert isinstance(run("datasets", "push", str(table), "--field", "x").exception, HeadstartError)


def test_what_cannot_be_meant_is_said(run: Run, tmp_path: Path) -> None:
    pushed(run, tmp_path)
    pushed(run, tmp_path)
    for words, expected in (
        (("datasets", "show", "cells"), "2 datasets are called"),
        (("datasets", "show", "nothing"), "no dataset"),
        (("datasets", "relabel", "cells", "x"), "2 datasets"),
    ):
        told = run(*words).exception
        assert isinstance(told, HeadstartError)
        assert expected in told.message


def test_an_example_has_one_label_and_is_there(run: Run, tmp_path: Path) -> None:
    made = pushed(run, tmp_path)
    for words in (("a/0000.png",), ("a/0000.png", "a", "b"), ("nowhere.png", "a")):
        assert isinstance(run("datasets", "relabel", made, *words).exception, HeadstartError)


def test_lists_say_that_they_go_on(run: Run, service: Service, client: httpx.Client) -> None:
    data = dataset(service)
    made = [create(client, data)["id"] for _ in range(4)]
    told = run("jobs", "list", "--limit", "3")
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["id", "status", "method", "dataset", "backbone", "model"]
    assert len(lines) == 4
    assert "version 1" in lines[1]
    assert "--all" in told.stderr
    whole = run("jobs", "list", "--all", "--json")
    assert [one["id"] for one in json.loads(whole.stdout)] == made[::-1]
    assert whole.stderr == ""


def test_a_shell_completes_names(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.cli.remote.named import suggested_datasets, suggested_jobs

    made = pushed(run, tmp_path)
    assert suggested_datasets("ce") == ["cells"]
    assert suggested_datasets("ds_") == [made]
    assert suggested_jobs("") == []
    monkeypatch.setenv("HEADSTART_URL", "http://127.0.0.1:9")
    assert suggested_datasets("ce") == [], "nothing is started for it"


def test_a_script_for_the_shell_is_shown(run: Run) -> None:
    told = run("--show-completion", "bash")
    assert told.exit_code == 0
    assert "_HEADSTART_COMPLETE" in told.stdout or "COMPLETE" in told.stdout
