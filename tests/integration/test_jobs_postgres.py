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
from tests.api.test_idempotency import (  # noqa: F401
    data,
    test_a_day_later_the_key_is_new,
    test_a_key_whose_upload_died_is_free_once_its_lease_ran_out,
    test_a_loser_waits_for_the_winners_commit,
    test_a_repeated_cancel_is_no_conflict,
    test_an_upload_holds_its_key_until_it_is_done,
    test_many_keys_called_at_once_make_one_job_each,
    upload_key,
)
from tests.api.test_job_events import (  # noqa: F401
    test_a_cancelled_job_ends_every_wait,
    test_a_stream_follows_a_running_job_to_its_end,
    test_a_stream_resumes_where_it_broke_off,
    test_prefer_wait_answers_when_the_job_has_ended,
    test_streams_and_waiters_hold_no_thread,
)
from tests.api.test_jobs import (  # noqa: F401
    test_a_job_grows_from_a_model,
    test_a_job_on_a_dataset_still_processing_waits_for_it,
    test_another_backbone_is_embedded_in_chunks_once,
    test_bad_cursors_and_limits_are_refused,
    test_events_and_checkpoints_go_newest_first,
    test_lists_can_be_narrowed_by_metadata,
    test_lists_go_newest_first_page_by_page,
)
from tests.api.test_models import (  # noqa: F401
    model,
    test_a_model_in_use_stays,
    test_an_alias_moves_and_goes,
    test_the_same_alias_of_two_organisations_means_two_models,
    test_what_cannot_be_an_alias_is_refused,
)
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
