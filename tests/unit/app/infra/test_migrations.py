"""The migrations make the schema that the code expects, on and on and back."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.infra.database import open_engine
from app.infra.migrate import migrate
from app.infra.orm import Base


def test_the_newest_schema_is_what_the_code_has(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'headstart.db'}")
    migrate(engine)
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()
