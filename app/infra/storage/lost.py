"""What rows name and the storage has not, or has otherwise, while it answers: it is not away."""

from __future__ import annotations

from app.core.errors import HeadstartError
from app.infra import storage_keys

_CODES = {
    storage_keys.PACKS: "dataset_corrupt",
    storage_keys.MANIFESTS: "dataset_corrupt",
    storage_keys.ARTIFACTS: "model_corrupt",
}
_REMEDIES = {
    "dataset_corrupt": "or upload the dataset again",
    "model_corrupt": "or train the model again",
    "content_corrupt": "or upload it again",
}


class MissingError(FileNotFoundError):
    """The storage answers, and has nothing under this key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


class DamagedError(HeadstartError):
    """The store answers with something else than was put."""

    def __init__(self, key: str, *, retry_after: float) -> None:
        self.key = key
        why = f"the store answers with something else than was put under {key}; if it goes on so,"
        super().__init__(
            "storage_unavailable",
            f"{why} `headstart doctor --files` tells what is damaged",
            retry_after=retry_after,
        )


def lost_key(error: BaseException | None) -> str | None:
    """The key of what was missing or damaged, where that is what an error comes of."""
    while error is not None:
        if isinstance(error, MissingError | DamagedError):
            return error.key
        error = error.__cause__
    return None


def lasting(key: str) -> HeadstartError:
    """What is said of a key that stays missing or damaged, and what is to be done about it."""
    code = _CODES.get(key.partition("/")[0], "content_corrupt")
    why = "a part of it is gone from the storage, or is not what was stored, and has stayed so"
    remedy = f"restore it (`headstart doctor --files` tells what), {_REMEDIES[code]}"
    return HeadstartError(code, f"{why}: {remedy}", retry_after=60)
