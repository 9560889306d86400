"""JSON messages between the trainer and its tensor process; tensors go through files instead."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Message = dict[str, Any]


def folder_named(message: Mapping[str, Any], name: str) -> Path | None:
    """The folder that a message names there, if it names one."""
    return Path(message[name]) if message[name] else None


class MessageChannel:
    """One end of a pair; a message is a JSON object, framed by its length."""

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)

    def send(self, message: Message) -> None:
        """Write one message. Raises OSError when the other end is gone, ValueError for NaN."""
        self._connection.send_bytes(json.dumps(message, allow_nan=False).encode())

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message, or None after `timeout` seconds. Raises EOFError at the end."""
        try:
            if not self._connection.poll(timeout):
                return None
            message = json.loads(self._connection.recv_bytes())
        except ConnectionResetError as error:
            raise EOFError("the other end is gone") from error
        assert isinstance(message, dict)
        return message

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


def pair() -> tuple[MessageChannel, socket.socket]:
    """Our end, and the socket that a child inherits."""
    ours, theirs = socket.socketpair()
    return MessageChannel(ours.detach()), theirs
