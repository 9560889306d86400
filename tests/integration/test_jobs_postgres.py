"""Jobs and models over HTTP on a real Postgres, where locks, JSON and clocks are different ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app.infra.database import open_engine
from app.infra.migrate import migrate
from app.infra.settings import Settings
from tests.api.conftest import client, key, other_client, other_key  # noqa: F401
from tests.api.service import Service, serve
from tests.servers import postgres_server

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def template() -> Iterator[str]:
    """The URL of a migrated database, to be copied for each test."""
    with postgres_server() as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


@pytest.fixture
def service(template: str, tmp_path: Path) -> Iterator[Service]:
    """The app on a database of its own."""
    found = make_url(template).set(drivername="postgresql+psycopg")
    name = f"copy_{tmp_path.name}"[:60]
    admin = create_engine(found.set(database="template1"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{found.database}"'))
    url = make_url(template).set(database=name).render_as_string(hide_password=False)
    with serve(Settings(data_dir=tmp_path, database_url=url)) as running:
        yield running
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()
