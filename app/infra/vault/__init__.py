"""Seals secrets that rows keep, so that the database alone tells nothing (ADR 59).

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. The row that a secret belongs to is
authenticated with it: what is sealed for one opens as no other's.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.core import secret_keys
from app.core.errors import HeadstartError
from app.infra.settings import Settings
from app.infra.vault import keys

_PREFIX = "sealed:1:"
_NONCE = 12
Read = Callable[[], list[bytes]]


class Vault:
    """The keys of a process; `read` gives them, newest first, and is asked again for unknown ones.

    So whoever adds a key to a file need restart nothing.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._keys = _named(read())

    @property
    def newest(self) -> str | None:
        """The name of the key that seals; None where there is none."""
        return next(iter(self._keys), None)

    @property
    def keys(self) -> Mapping[str, bytes]:
        """Every key by its name, newest first."""
        return self._keys

    def knows(self, name: str) -> bool:
        """Whether it has the key of this name."""
        if name not in self._keys:
            self._keys = _named(self._read())
        return name in self._keys

    def seal(self, plain: str, *, of: str) -> str:
        """`plain` under the newest key, for the row that `of` names. Raises secrets_key_missing."""
        name = self.newest
        if name is None:
            raise missing()
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._keys[name]).encrypt(nonce, plain.encode(), _bound(name, of))
        return f"{_PREFIX}{name}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, stored: str, *, of: str) -> str:
        """What was sealed, or kept as it is before there was a key. Raises secret_unreadable."""
        name = key_of(stored)
        if name is None:
            return stored
        if not self.knows(name):
            why = f"it is sealed with the key {name}, which this service has not got: an operator"
            raise HeadstartError("secret_unreadable", f"{why} adds it to HEADSTART_SECRETS_KEY")
        try:
            raw = base64.b64decode(stored.rpartition(":")[2], validate=True)
            cipher = AESGCM(self._keys[name])
            return cipher.decrypt(raw[:_NONCE], raw[_NONCE:], _bound(name, of)).decode()
        except (InvalidTag, ValueError, binascii.Error):
            why = "the stored secret is damaged, or another row's; renew it"
            raise HeadstartError("secret_unreadable", why) from None


def key_of(stored: str) -> str | None:
    """The name of the key that something is sealed with; None of what is not sealed."""
    if not stored.startswith(_PREFIX):
        return None
    return stored.removeprefix(_PREFIX).partition(":")[0]


def missing() -> HeadstartError:
    """There is no key to seal with, where others are sealed."""
    why = "there is no key to seal secrets with: an operator sets HEADSTART_SECRETS_KEY"
    return HeadstartError("secrets_key_missing", why)


def open_vault(settings: Settings) -> Vault:
    """The vault of this process's settings. Raises invalid_value."""
    return Vault(partial(keys.read, settings))


def _named(told: list[bytes]) -> dict[str, bytes]:
    return {secret_keys.name_of(key): key for key in told}


def _bound(name: str, of: str) -> bytes:
    return f"{_PREFIX}{name}:{of}".encode()
