"""What is asked about: words or files; what is neither is said before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli.remote import commands, datasets, training
from app.cli.remote.given import text_of
from app.core.errors import HeadstartError


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a service fails."""

    def never() -> None:
        pytest.fail("a service was asked for")

    for module in (commands, datasets, training):
        monkeypatch.setattr(module, "connected", never)


@pytest.mark.parametrize("words", ["ж" * 200, "x" * 300, "one\0two", "a/b" * 90, "is this spam?"])
def test_words_that_no_file_can_be_called_are_a_text(words: str) -> None:
    assert text_of(words) == words


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    assert text_of(str(tmp_path / "a.txt")) == "hello"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (training.train, ["/nope"]),
        (training.train, ["./nope"]),
        (datasets.push_command, ["nope"]),
        (datasets.append, ["cells", "/nope"]),
        (commands.predict, ["cells", "nope.jpg"]),
    ],
)
def test_what_is_not_there_is_said_before_a_service_is_asked_for(
    command: object, arguments: list[str], alone: None
) -> None:
    cli = typer.Typer()
    cli.command()(command)  # type: ignore[type-var]
    told = CliRunner().invoke(cli, arguments).exception
    assert isinstance(told, HeadstartError)
    assert told.code == "not_found"
    assert "nope" in told.message
