"""`headstart backup`, before it reads anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.backups import backup
from app.core.errors import HeadstartError


def test_where_no_service_has_been_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="no service has been at"):
        backup(tmp_path / "there.tar", tmp_path / "elsewhere")
    assert list(tmp_path.iterdir()) == [], "nothing is made"
