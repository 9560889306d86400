from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import HeadstartError
from app.uploads.intake import Built, build

Take = Callable[..., Built]


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@pytest.fixture
def take(tmp_path: Path, staging: Path) -> Take:
    """Build a dataset of the bytes of an upload."""

    def taking(data: bytes, filename: str = "upload.zip", **options: object) -> Built:
        upload = tmp_path / "upload"
        upload.write_bytes(data)
        return build(upload, filename=filename, staging=staging, **options)

    return taking


@pytest.fixture
def refused(take: Take, staging: Path) -> Callable[..., HeadstartError]:
    """The error that an upload ends in, nothing of it being left."""

    def refusing(data: bytes, filename: str = "upload.zip", **options: object) -> HeadstartError:
        with pytest.raises(HeadstartError) as caught:
            take(data, filename, **options)
        assert list(staging.iterdir()) == []
        return caught.value

    return refusing
