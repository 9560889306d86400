"""Alembic's entry: the database is the one of the settings, or the connection handed over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from app.infra.database import open_engine
from app.infra.orm import Base
from app.infra.settings import load_settings, make_folder


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def _main() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _migrate(connection)
        return
    settings = load_settings()
    make_folder(settings.data_dir)
    with open_engine(settings.database).connect() as connection:
        _migrate(connection)
        connection.commit()


_main()
