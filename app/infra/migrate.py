"""Bring a database to the newest schema, from a checkout or from an installed package.

Alembic is imported by whoever migrates: to serve, its names of schemas are enough.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, Engine, inspect, text

import migrations
from app.core.errors import HeadstartError
from app.infra.postgres import PatientConnection

if TYPE_CHECKING:
    from alembic.config import Config

_NAMED = re.compile(r"(\d{4})_\w+\.py")
_PATIENCE = "10min"
"""How long a replica waits for another's migration, which may rewrite a large table."""

_SCRIPTS = Path(migrations.__file__).parent
log = structlog.get_logger(__name__)


def migrate(engine: Engine) -> None:
    """Run every migration that `engine`'s database lacks, one process at a time.

    A later release's database stays as it is: its migrations have only added, so that replicas of
    this release start again while that one is rolled out or rolled back. Raises not_ready where it
    has taken something away.
    """
    from alembic import command

    config = config_of()
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            _be_patient(connection)
            _wait_for_others(connection)
        if is_later(there := current(connection)):
            log.warning("database of a later release", migration=there, known=head())
        else:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        connection.commit()


def check_schema(connection: Connection) -> None:
    """Raises not_ready while the database lacks what this release needs."""
    there = current(connection)
    if there is None or (there != head() and not is_later(there)):
        why = f"the database is at migration {there}, this release needs {head()}"
        raise HeadstartError("not_ready", f"{why}; `headstart prepare` brings it there")


@cache
def head() -> str:
    """The newest schema's name that this release has: four digits, which its file begins with."""
    names = (_NAMED.fullmatch(path.name) for path in (_SCRIPTS / "versions").iterdir())
    return max(name[1] for name in names if name is not None)


def current(connection: Connection) -> str | None:
    """The name of the schema that the database has; None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def is_later(revision: str | None) -> bool:
    """Whether the schema is a later release's, which only adds to what this one knows.

    Names count up. The first digit counts the migrations that took something away, which no former
    release survives: raises not_ready for those.
    """
    known = head()
    if revision is None or not revision.isdecimal() or revision <= known:
        return False
    if revision[0] != known[0]:
        why = f"the database is a later release's (migration {revision}), which {known} cannot use"
        raise HeadstartError("not_ready", why)
    return True


def config_of() -> Config:
    """Alembic's own configuration of these migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def _be_patient(connection: Connection) -> None:
    """A migration takes as long as it takes; the connection is not used for anything else."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, PatientConnection)
    driver.patience = None
    connection.detach()


def _wait_for_others(connection: Connection) -> None:
    """Lock what migrates; the locks of the migration itself are waited for as briefly as ever. On
    a busy machine it may pause between two statements for longer than others may.
    """
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '5min'"))
    usual = connection.execute(text("SHOW lock_timeout")).scalar_one()
    connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(4811)"))
    connection.execute(text(f"SET LOCAL lock_timeout = '{usual}'"))
