"""Bring a database to the newest schema, from a checkout or from an installed package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

import migrations
from app.infra.postgres import PatientConnection

_PATIENCE = "10min"
"""How long a replica waits for another's migration, which may rewrite a large table."""


def migrate(engine: Engine) -> None:
    """Run every migration that `engine`'s database lacks, one process at a time."""
    config = _config()
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            _be_patient(connection)
            _wait_for_others(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def head() -> str | None:
    """The newest schema's name."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def _be_patient(connection: Connection) -> None:
    """A migration takes as long as it takes; the connection is not used for anything else."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, PatientConnection)
    driver.patience = None
    connection.detach()


def _wait_for_others(connection: Connection) -> None:
    """Lock what migrates; the locks of the migration itself are waited for as briefly as ever."""
    usual = connection.execute(text("SHOW lock_timeout")).scalar_one()
    connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(4811)"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{usual}'"))
