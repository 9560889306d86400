"""Whose labelling tool is asked next, and what its token may not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import insert

from app.core.errors import HeadstartError
from app.infra.database import Sessions, make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import LabellingProjectRow, OrganisationRow
from app.infra.repositories import sealing
from app.infra.repositories.live import labelling
from app.infra.vault import Vault

MANY = 1500


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_engine(f"sqlite:///{tmp_path / 'test.db'}")
    migrate(engine)
    yield make_sessions(engine)
    engine.dispose()


def due(sessions: Sessions, projects: Mapping[str, int]) -> None:
    """Organisations in this order, with so many projects each that are to be pulled."""
    with transaction(sessions) as session:
        at = now(session)
        for age, (name, count) in enumerate(projects.items()):
            session.add(OrganisationRow(id=name, created_at=at))
            session.flush()
            common = {
                "organisation_id": name,
                "alias": "cells@live",
                "hostname": "http://127.0.0.1:9",
                "label_config": "<View/>",
                "pending": True,
                "told": {},
                "created_at": at + age,
                "updated_at": at + age,
            }
            rows = [common | {"project": str(number)} for number in range(count)]
            session.execute(insert(LabellingProjectRow), rows)


def test_many_projects_of_one_organisation_hold_up_no_other(sessions: Sessions) -> None:
    due(sessions, {"flood": MANY, "other": 1})
    with transaction(sessions) as session:
        taken = labelling.claim(session, most=8, busy=(), seconds=60)
        assert {row.organisation_id for row in taken} == {"flood", "other"}
        again = labelling.claim(session, most=8, busy=("flood",), seconds=60)
        assert again == []


def test_who_has_a_turn_is_drawn_where_there_is_not_room_for_all(sessions: Sessions) -> None:
    names = [f"flood-{number}" for number in range(8)]
    due(sessions, {**dict.fromkeys(names, MANY // 8), "other": 1})

    def claimed() -> bool:
        with transaction(sessions) as session:
            taken = labelling.claim(session, most=2, busy=(), seconds=0)
            return "other" in {row.organisation_id for row in taken}

    assert any(claimed() for _ in range(200)), "nobody is missed so often by chance"


def test_a_token_that_reads_as_sealed_is_refused(sessions: Sessions) -> None:
    """Else services without a key would believe that they once had one, and keep no secret."""
    vault = Vault(list)
    due(sessions, {"evil": 1})
    values = {"organisation_id": "evil", "alias": "cells@live", "project": "0"}
    with transaction(sessions) as session, pytest.raises(HeadstartError) as caught:
        labelling.put(session, vault, **values, token="sealed:1:evil:QUJD")
    assert caught.value.code == "invalid_value"
    with reading(sessions) as session:
        assert not sealing.is_any_sealed(session)
