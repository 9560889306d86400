"""The migrations make the schema that the code expects, on and on and back."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.infra.database import open_engine
from app.infra.migrate import config_of, current, head, migrate
from app.infra.orm import Base


def test_the_newest_schema_is_what_the_code_has(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'headstart.db'}")
    with engine.connect() as connection:
        assert current(connection) is None
    migrate(engine)
    migrate(engine)
    assert ScriptDirectory.from_config(config_of()).get_heads() == [head()]
    with engine.connect() as connection:
        assert current(connection) == head()
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()
