"""Keys as people write them: base64 in either alphabet, hexadecimal, several; nothing made up."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import secret_keys

Bytes = st.binary(min_size=32, max_size=32).filter(lambda key: len(set(key)) > 1)


@given(Bytes)
def test_a_key_is_the_same_in_every_writing(key: bytes) -> None:
    writings = [
        secret_keys.encode(key),
        base64.urlsafe_b64encode(key).decode(),
        base64.urlsafe_b64encode(key).decode().rstrip("="),
        key.hex(),
        key.hex().upper(),
    ]
    assert {secret_keys.decode(f" {one}\n") for one in writings} == {key}


@given(st.lists(Bytes, max_size=4))
def test_several_keep_their_order(keys: list[bytes]) -> None:
    told = [secret_keys.encode(key) for key in keys]
    assert secret_keys.several(",".join(told)) == keys
    lines = "# newest first\n" + "\n\n".join(f"{one}  # of some day" for one in told)
    assert secret_keys.several(lines) == keys


@pytest.mark.parametrize(
    "text",
    ["changeme", "x" * 32, "0" * 64, "A" * 43, "€" * 43, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La"],
)
def test_what_somebody_made_up_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="new-key") as refused:
        secret_keys.several(text)
    assert text not in str(refused.value)


def test_a_name_tells_keys_apart_and_not_what_they_are() -> None:
    first, second = (secret_keys.decode(secret_keys.new()) for _ in range(2))
    names = {secret_keys.name_of(first), secret_keys.name_of(second)}
    assert len(names) == 2
    assert all(len(name) == 12 and name not in first.hex() for name in names)
