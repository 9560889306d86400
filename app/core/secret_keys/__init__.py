"""Keys that secrets are sealed with: 32 random bytes, as settings and files write them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

BYTES = 32
_HOW = "a key is 32 random bytes in base64: `headstart secrets new-key` prints one"


def new() -> str:
    """A key that was never used, in base64."""
    return encode(secrets.token_bytes(BYTES))


def encode(key: bytes) -> str:
    """A key as settings and files write it."""
    return base64.b64encode(key).decode()


def decode(text: str) -> bytes:
    """A key's bytes, of base64 in either alphabet or 64 hexadecimal digits. Raises ValueError.

    What somebody made up is none: it would be guessed.
    """
    text = text.strip()
    try:
        if len(text) == 2 * BYTES:
            key = bytes.fromhex(text)
        else:
            plain = text.rstrip("=").replace("-", "+").replace("_", "/")
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(_HOW) from None
    if len(key) != BYTES or len(set(key)) == 1:
        raise ValueError(_HOW)
    return key


def name_of(key: bytes) -> str:
    """What a key is called where it must not be told: 12 hexadecimal digits."""
    return hashlib.sha256(b"headstart secrets key\0" + key).hexdigest()[:12]


def several(text: str) -> list[bytes]:
    """The keys of a text, one a line or by commas, newest first; `#` begins a remark.

    Raises ValueError.
    """
    told = [line.partition("#")[0] for line in text.splitlines()]
    return [decode(one) for line in told for one in line.split(",") if one.strip()]
