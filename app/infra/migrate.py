"""Bring a database to the newest schema, from a checkout or from an installed package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

import migrations


def migrate(engine: Engine) -> None:
    """Run every migration that `engine`'s database lacks, one process at a time."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(4811)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
