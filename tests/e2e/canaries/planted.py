"""Words that nothing else has, and how they are found again in any form."""

from __future__ import annotations

import base64
import io
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field

SECRET = ("database", "broker", "store", "wrong key", "key", "signing", "tool token", "address")
"""Nobody's to read: passwords, keys, what signs, tokens."""
CONTENTS = ("text", "label", "file", "query", "metadata")
"""The tenant's own to read, and nobody else's."""
PATIENT = ("patient",)
"""Kept nowhere."""


def drawn() -> str:
    """A word like no other; a letter first, so that it may stand in names."""
    return "canary" + secrets.token_hex(6)


@dataclass
class Canaries:
    """Words by what they stand for."""

    words: dict[str, list[str]] = field(default_factory=dict)

    def one(self, kind: str) -> str:
        """The first of a kind."""
        assert kind in SECRET + CONTENTS + PATIENT
        return self.words.setdefault(kind, [drawn()])[0]

    def add(self, kind: str, word: str) -> str:
        """Another of a kind, which the service has drawn itself."""
        assert kind in SECRET
        self.words.setdefault(kind, []).append(word)
        return word

    def found(self, where: str, data: bytes, kinds: tuple[str, ...]) -> list[str]:
        """What of these kinds stands in some bytes, in whatever form."""
        return [
            f"{kind} in {where}: …{_around(part, form)}…"
            for part in _opened(data)
            for kind in kinds
            for word in self.words.get(kind, ())
            for form in _forms(word)
            if form in part
        ]


def _around(data: bytes, form: bytes) -> str:
    at = data.find(form)
    return data[max(0, at - 150) : at + 100].decode(errors="replace")


def _forms(word: str) -> Iterator[bytes]:
    """As it is, in UTF-16, and in base64 wherever it begins."""
    raw = word.encode()
    yield raw
    yield word.encode("utf-16-le")
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        yield encoded[-(-shift * 8 // 6) : -1]


def _opened(data: bytes) -> Iterator[bytes]:
    """The bytes, and what archives among them hold."""
    yield data
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield member.encode()
                yield from _opened(archive.read(member))
