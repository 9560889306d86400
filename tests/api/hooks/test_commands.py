"""`headstart promote`, `rollback` and `hooks` against a running app."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from tests.api.models.test_models import new_model
from tests.api.service import Service
from tests.api.uploading import finish, made


@pytest.fixture(autouse=True)
def meant(service: Service, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_URL", service.url)
    monkeypatch.setenv("HEADSTART_API_KEY", key)


def told(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_an_alias_moves_and_goes_back(service: Service, key: str, tmp_path: Path) -> None:
    first, second = (new_model(service, tmp_path, number=number) for number in (1, 2))
    for model in (first, second):
        said = json.loads(told("promote", "cells@production", model, "--force", "--json"))
        assert (said["verdict"], said["forced"]) == ("promoted", True)
    assert told("rollback", "cells@production") == f"cells@production means {first}\n"


def test_a_hook_that_holds_nothing_out_says_so(service: Service, key: str) -> None:
    with service.client(key) as client:
        dataset = str(made(client)["id"])
        finish(service, dataset)
    said = " ".join(
        told("hooks", "create", "n", "--dataset", dataset, "--alias", "n@production").split()
    )
    assert "note nothing is held out" in said
    assert "6 examples decide" in said


def test_a_hook_is_made_listed_called_and_deleted(dataset: str) -> None:
    told("hooks", "create", "nightly", "--dataset", dataset, "--alias", "cells@production",
         "--cron", "0 3 * * *", "--labels", "20")  # fmt: skip
    (hook,) = json.loads(told("hooks", "list", "--json"))
    assert [one["type"] for one in hook["triggers"]] == ["inbound", "schedule", "labels"]
    told("hooks", "trigger", hook["id"], "--no-wait")
    assert "inbound" in told("hooks", "runs", hook["id"])
    assert "nightly" in told("hooks", "list")
    told("hooks", "delete", hook["id"])
    assert json.loads(told("hooks", "list", "--json")) == []
