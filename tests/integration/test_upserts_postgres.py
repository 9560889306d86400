"""What two first ones do at once to a row that is not there yet, on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.core.promotion.gate import PromotionGate
from app.infra.database import Sessions, make_sessions, now, open_engine, reading, transaction
from app.infra.migrate import migrate
from app.infra.orm import (
    AliasMoveRow,
    AliasRow,
    AliasWearRow,
    FeedbackRow,
    LabellingProjectRow,
    ModelRow,
    OrganisationRow,
    PromotionRow,
    ShadowAgreementRow,
)
from app.infra.repositories.deletions import everything
from app.infra.repositories.live import feedback, labelling, log
from app.infra.repositories.retraining import moves, promotions
from app.infra.repositories.retraining.agreement import ShadowTally
from app.infra.repositories.retraining.moves import Move
from app.infra.repositories.retraining.promotions import MovedError, NewPromotion
from app.infra.settings import Settings
from app.infra.vault import Vault
from app.models.promotions import ask
from tests.servers import postgres_server, wait_for

pytestmark = pytest.mark.servers
ORG = "acme"
MODELS = ("ft:a:acme::1", "ft:a:acme::2", "ft:a:acme::3")
Write = Callable[[Session, int], Any]


@pytest.fixture(scope="module")
def sessions() -> Iterator[Sessions]:
    with postgres_server() as url:
        engine = open_engine(url)
        migrate(engine)
        found = make_sessions(engine)
        with transaction(found) as session:
            _prepare(session)
        yield found
        engine.dispose()


def _prepare(session: Session) -> None:
    at = now(session)
    session.add(OrganisationRow(id=ORG, created_at=at))
    session.flush()
    session.add_all(
        ModelRow(
            id=name, organisation_id=ORG, backbone="b", modality="text", method="auto",
            artifact=f"models/{name}", sha256="0" * 64, bytes=1, card={}, evaluation={},
            created_at=at,
        )
        for name in MODELS
    )  # fmt: skip
    session.flush()
    session.add(
        AliasRow(organisation_id=ORG, name="live", model_id=MODELS[0], shadow=MODELS[1],
                 updated_at=at)
    )  # fmt: skip


def both(sessions: Sessions, write: Write) -> list[Any]:
    """What two transactions answer of which the second writes while the first is not committed."""
    with ThreadPoolExecutor(1) as other:
        with transaction(sessions) as session:
            first = write(session, 0)
            session.flush()
            second = other.submit(_alone, sessions, write)
            wait_for(lambda: _is_one_waiting(sessions))
        return [first, second.result(60)]


def _alone(sessions: Sessions, write: Write) -> Any:
    with transaction(sessions) as session:
        return write(session, 1)


def _is_one_waiting(sessions: Sessions) -> bool:
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with reading(sessions) as session:
        return bool(session.execute(text(blocked)).scalar_one())


def _count(sessions: Sessions, of: Any) -> int:
    with reading(sessions) as session:
        return int(session.scalar(select(func.count()).select_from(of)) or 0)


def word(label: str, *, audited: bool) -> dict[str, Any]:
    """Feedback as its row has it."""
    return {
        "alias": "live", "model_id": MODELS[0], "prediction_id": None, "place": 0,
        "sha256": "0" * 64, "answer": {}, "label": label, "labels": None, "correct": None,
        "unknown": False, "audited": audited, "source": "api", "actor": "key_1",
        "content_key": f"file-{label}", "content_length": 1,
    }  # fmt: skip


def test_of_two_first_words_on_an_input_the_last_holds(sessions: Sessions) -> None:
    def say(session: Session, turn: int) -> tuple[str, str | None, str | None]:
        told = word("ab"[turn], audited=False)
        row, former = feedback.put(session, "sha256:live:1", told, organisation_id=ORG)
        return row.id, row.label, former

    first, second = both(sessions, say)
    assert first[1:] == ("a", None)
    assert second == (first[0], "b", "file-a"), "the file of the first one is told: it goes"
    assert _count(sessions, FeedbackRow) == 1


def test_an_audited_first_word_holds_against_one_that_comes_at_once(sessions: Sessions) -> None:
    def say(session: Session, turn: int) -> str | None:
        told = word("ab"[turn], audited=turn == 0)
        return feedback.put(session, "sha256:live:2", told, organisation_id=ORG)[0].label

    assert both(sessions, say) == ["a", "a"]


def test_a_project_is_set_up_twice_at_once(sessions: Sessions) -> None:
    def set_up(session: Session, turn: int) -> str:
        values = {"hostname": f"https://{turn}.example.com", "pending": True}
        key = {"organisation_id": ORG, "alias": "live", "project": "7"}
        return labelling.put(session, Vault(tuple), **key, **values).hostname

    assert both(sessions, set_up) == ["https://0.example.com", "https://1.example.com"]
    assert _count(sessions, LabellingProjectRow) == 1


def test_two_processes_count_what_a_shadow_says_at_once(sessions: Sessions) -> None:
    whose = (ORG, "live", *MODELS[:2])

    def count(_: int) -> None:
        tally = ShadowTally()
        tally.count(whose, [(), (("a", "b"),), (("c", None), ("a", "b"))])
        start.wait(300)
        tally.flush(sessions)

    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    with reading(sessions) as session:
        row = session.scalars(select(ShadowAgreementRow)).one()
    assert (row.compared, row.agreed) == (12, 4)
    assert row.differences == [["a", "b", 8], ["c", None, 4]]


def test_of_two_looks_at_the_same_examples_one_is_made_again(sessions: Sessions) -> None:
    """A look that nobody remembers would let the alpha be spent twice."""

    def look(session: Session, _: int) -> bool:
        row = PromotionRow(organisation_id=ORG, alias="worn")
        try:
            promotions.wear(session, row, ["a", "b"], {})
        except MovedError:
            return False
        return True

    assert both(sessions, look) == [True, False]
    with reading(sessions) as session:
        assert session.scalars(select(AliasWearRow)).one().asked == {"a": 1, "b": 1}


def test_a_forced_promotion_is_asked_again_of_what_the_alias_means_by_then(
    sessions: Sessions,
) -> None:
    services: Any = SimpleNamespace(sessions=sessions, settings=Settings())
    with transaction(sessions) as session:
        session.add(AliasRow(organisation_id=ORG, name="f", model_id=MODELS[0], updated_at=0.0))

    def force() -> str:
        new = NewPromotion(
            alias="f", candidate=MODELS[1], gate=PromotionGate(), actor="key_1", force=True
        )
        return str(ask(services, new, ORG, None)[0].body["verdict"])

    with ThreadPoolExecutor(1) as other:
        with transaction(sessions) as session:
            move = Move(cause="put", actor="key_1")
            moves.point(session, organisation_id=ORG, alias="f", model_id=MODELS[2], move=move)
            session.flush()
            forced = other.submit(force)
            wait_for(lambda: _is_one_waiting(sessions))
        assert forced.result(60) == "promoted"
    with reading(sessions) as session:
        of = AliasMoveRow
        found = session.scalars(select(of).where(of.alias == "f").order_by(of.id)).all()
    assert [(one.from_model_id, one.model_id) for one in found] == [
        (MODELS[0], MODELS[2]), (MODELS[2], MODELS[1]),
    ]  # fmt: skip


def test_what_a_shadow_says_is_dropped_once_it_stands_there_no_more(sessions: Sessions) -> None:
    tally = ShadowTally()
    tally.count((ORG, "live", MODELS[0], MODELS[2]), [(("a", "b"),)])
    tally.flush(sessions)
    of = ShadowAgreementRow
    with reading(sessions) as session:
        assert session.scalars(select(of).where(of.shadow_id == MODELS[2])).all() == []


def test_an_organisations_deletion_takes_along_what_is_written_meanwhile(
    sessions: Sessions,
) -> None:
    """Whoever holds the alias writes a row that the first pass over the tables cannot see."""
    with transaction(sessions) as session:
        session.add(OrganisationRow(id="gone", created_at=0.0))
        session.flush()
        session.add(
            ModelRow(
                id="ft:a:gone::1", organisation_id="gone", backbone="b", modality="text",
                method="auto", artifact="models/gone", sha256="0" * 64, bytes=1, card={},
                evaluation={}, created_at=0.0,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            AliasRow(organisation_id="gone", name="live", model_id="ft:a:gone::1", updated_at=0.0,
                     prediction_log={"rate": 1.0}, log_id="plog_1")
        )  # fmt: skip

    def delete() -> None:
        with transaction(sessions) as session:
            everything.delete_rows(session, organisation_id="gone")

    with ThreadPoolExecutor(1) as other:
        with transaction(sessions) as session:
            held = log.current(
                session, organisation_id="gone", alias="live", model_id="ft:a:gone::1"
            )
            assert held is not None
            deleting = other.submit(delete)
            wait_for(lambda: _is_one_waiting(sessions))
            values = word("a", audited=False)
            feedback.put(session, "sha256:live:9", values, organisation_id="gone")
        deleting.result(60)
    with reading(sessions) as session:
        of = FeedbackRow
        assert session.scalars(select(of).where(of.organisation_id == "gone")).all() == []
