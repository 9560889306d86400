"""Whoever cannot listen is told why: only a port that is taken is mended by another."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.cli.embedded import _free_port
from app.core.errors import HeadstartError


def test_none_asked_for_is_a_free_one() -> None:
    assert _free_port("127.0.0.1", 0) > 0


def test_a_port_that_is_taken_is_called_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(HeadstartError, match=f"port {port} on 127.0.0.1 is taken"):
            _free_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["nonsense.invalid", "192.0.2.1"])
def test_a_host_that_is_elsewhere_or_nowhere_is_no_port_that_is_taken(host: str) -> None:
    with pytest.raises(HeadstartError, match="no address of this machine") as raised:
        _free_port(host, 8000)
    assert raised.value.code == "invalid_request"


@pytest.mark.parametrize("port", ["99999", "-5"])
@pytest.mark.parametrize("command", ["up", "serve"])
def test_what_is_no_port_is_refused_in_words(command: str, port: str) -> None:
    told = CliRunner().invoke(cli, [command, "--port", port])
    assert told.exit_code == 2
    assert "equal to" in told.output or "65535" in told.output
