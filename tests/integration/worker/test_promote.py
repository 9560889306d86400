"""Promotions by real models: as good, poisoned, leaking; and what the alias's budget remembers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.core.manifest import Example
from app.core.promotion.gate import Decision, PromotionGate
from app.infra.orm import AliasRow, DatasetVersionRow, EmbeddingRow, ModelRow, PromotionRow
from app.infra.repositories import aliases, datasets
from app.infra.repositories.retraining import moves, promotions
from app.infra.repositories.retraining.moves import Move
from app.infra.repositories.retraining.promotions import NewPromotion
from tests.integration.worker.conftest import LIGHT, REAL, training
from tests.worker_kit import Kit, Labelled, add_dataset, add_job, in_group, pictures
from worker.trainer.attempt import Attempt
from worker.trainer.embedding_cache import Segment
from worker.trainer.inputs import asked
from worker.trainer.kinds import promote as promote_kind

ALIAS = "kinds@production"
PUT = Move(cause="put", actor="key_test")


def held_out(members: list[Labelled], every: int = 3) -> Mapping[str, str]:
    """The split `test` for most of them: what is asked, not what is trained on."""
    return {path: "test" for place, (path, _, _) in enumerate(members) if place % every}


def trained(kit: Kit, version: DatasetVersionRow, method: str = "auto") -> str:
    job = kit.wait_job(add_job(kit, version, method=method), seconds=120)
    assert job.status == "succeeded", job.error
    assert job.model_id is not None
    return job.model_id


def point(kit: Kit, model_id: str) -> None:
    kit.commit(lambda session: moves.point(
        session, organisation_id="acme", alias=ALIAS, model_id=model_id, move=PUT
    ))  # fmt: skip


def promote(kit: Kit, candidate: str, **gate: object) -> PromotionRow:
    asked = NewPromotion(
        alias=ALIAS,
        candidate=candidate,
        gate=PromotionGate.model_validate(gate),
        actor="key_test",
    )
    row = kit.commit(lambda session: promotions.ask(session, asked, organisation_id="acme"))

    def now() -> PromotionRow:
        return kit.read(lambda session: session.get_one(PromotionRow, row.id))

    kit.wait(lambda: now().status != "waiting", 120)
    return now()


def meant(kit: Kit) -> str | None:
    alias = kit.read(lambda session: session.get(AliasRow, ("acme", ALIAS)))
    return alias.model_id if alias is not None else None


def unlike(members: list[Labelled]) -> list[Labelled]:
    """Each with a rectangle of its own: near copies of what is trained on are not asked."""
    made = []
    for place, (path, label, data) in enumerate(members):
        random = np.random.default_rng(place)
        image = Image.open(io.BytesIO(data))
        left, top = (int(edge) for edge in random.integers(0, 40, 2))
        colour = tuple(int(part) for part in random.integers(0, 255, 3))
        image.paste(colour, (left, top, left + 24, top + 24))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        made.append((path, label, buffer.getvalue()))
    return made


def test_what_is_as_good_is_promoted_and_what_is_poisoned_is_not(sqlite_kit: Kit) -> None:
    kit, members = sqlite_kit, unlike(pictures(60))
    swapped = [(path, {"c0": "c1", "c1": "c0"}[label], data) for path, label, data in members]
    poisoned = [
        swapped[place] if place % 3 == 0 else members[place] for place in range(len(members))
    ]
    change = in_group(held_out(members))
    with training(kit, REAL):
        first = trained(kit, add_dataset(kit, members, change=change))
        assert promote(kit, first).verdict == "promoted"
        assert meant(kit) == first
        second = trained(kit, add_dataset(kit, members, change=change))
        good = promote(kit, second, margin=0.1)
        assert (good.verdict, meant(kit)) == ("promoted", second), good.reason
        bad = trained(kit, add_dataset(kit, poisoned, change=change))
        refused = promote(kit, bad, margin=0.1)
    assert (refused.verdict, meant(kit)) == ("refused", second)
    assert refused.reason is not None
    assert refused.evidence is not None
    asked = refused.evidence["held_out"]["asked"]
    assert f"worse on {asked} held-out examples: evidently" in refused.reason
    assert refused.evidence["alpha"]["look"] == 2
    assert 60 < asked <= 80  # near copies of what is trained on are not


@pytest.mark.parametrize("named", [True, False])
def test_a_set_that_leaks_is_refused(kit: Kit, named: bool) -> None:
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(40)]
    split = held_out(members)
    with training(kit, LIGHT):
        whole = add_dataset(kit, members)
        point(kit, trained(kit, whole))
        version = add_dataset(kit, members, change=in_group(split))
        candidate = trained(kit, version)
        gate = {"evaluation_set": version.dataset_id} if named else {}
        said = promote(kit, candidate, **gate)
    assert said.verdict == "refused"
    assert said.reason == "the held-out set leaks: 26 of its 26 examples were trained on"


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("C0", "C-1"), "spells classes otherwise than the models: 'C-1' for 'c1', 'C0' for 'c0'"),
        (("c0", "C1"), "spells classes otherwise than the models: 'C1' for 'c1'"),
        (("0", "1"), "no label of the held-out set is a class of the models: '0', '1'"),
    ],
)
def test_a_set_of_other_labels_judges_nobody(
    sqlite_kit: Kit, labels: tuple[str, str], reason: str
) -> None:
    """Both would be wrong on all of it, and so one as good as the other."""
    kit = sqlite_kit
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(20)]
    others = [(f"{n}", labels[n % 2], f"other {n}".encode()) for n in range(26)]
    with training(kit, LIGHT):
        asked = add_dataset(kit, others)
        incumbent = trained(kit, add_dataset(kit, members))
        point(kit, incumbent)
        candidate = trained(kit, add_dataset(kit, members))
        said = promote(kit, candidate, evaluation_set=asked.dataset_id)
    assert (said.verdict, meant(kit)) == ("refused", incumbent)
    assert reason in str(said.reason)


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (("c0", "c1"), "the candidate lacks 1 of the incumbent's 3 classes: 'c2'"),
        (("c0", "c1", "C 2"), "spells classes otherwise than the incumbent: 'C 2' for 'c2'"),
    ],
)
def test_a_candidate_without_a_class_of_the_incumbent_is_refused(
    sqlite_kit: Kit, labels: tuple[str, ...], why: str
) -> None:
    kit, members = sqlite_kit, unlike(pictures(60, classes=3))
    change = in_group(held_out(members))
    named = dict(zip(("c0", "c1", "c2"), labels, strict=False))
    fewer = [(path, named[label], data) for path, label, data in members if label in named]
    with training(kit, REAL):
        first = trained(kit, add_dataset(kit, members, change=change))
        assert promote(kit, first).verdict == "promoted"
        other = trained(kit, add_dataset(kit, fewer, change=in_group(held_out(fewer))))
        refused = promote(kit, other, margin=0.5)
        meant_then = meant(kit)
        allowed = promote(kit, other, margin=0.5, classes="any")
    assert (refused.verdict, meant_then) == ("refused", first)
    assert why in str(refused.reason)
    assert (refused.evidence or {})["classes_lost"] == {"count": 1, "labels": ["c2"]}
    assert allowed.verdict != "refused", allowed.reason
    assert (allowed.evidence or {})["classes_lost"]["count"] == 1


def test_classes_that_nothing_was_asked_of_are_told(sqlite_kit: Kit) -> None:
    kit, members = sqlite_kit, unlike(pictures(60, classes=3))
    test = {path: "test" for path, label, _ in members if label != "c2"}
    asked = {path: split for place, (path, split) in enumerate(test.items()) if place % 3}
    with training(kit, REAL):
        made = [trained(kit, add_dataset(kit, members, change=in_group(asked))) for _ in range(2)]
        point(kit, made[0])
        said = promote(kit, made[1], margin=0.5)
    assert said.verdict == "promoted", said.reason
    assert str(said.reason).endswith("; no held-out example is of 1 of its 3 classes: 'c2'")
    assert (said.evidence or {})["classes_unasked"] == {"count": 1, "labels": ["c2"]}


def test_what_no_model_could_get_right_is_not_asked(sqlite_kit: Kit) -> None:
    kit, members = sqlite_kit, unlike(pictures(12))
    others = unlike(pictures(10, classes=3, seed=5))

    def of_one_patient(example: Example) -> Example:
        return example.model_copy(update={"group": "p1"})

    with training(kit, REAL):
        asked = add_dataset(kit, others, change=of_one_patient)
        grouped = add_dataset(kit, members, change=of_one_patient)
        point(kit, trained(kit, grouped, "prototypical"))
        said = promote(kit, trained(kit, grouped, "prototypical"), evaluation_set=asked.dataset_id)
    assert said.evidence is not None
    held = said.evidence["held_out"]
    assert held["left_out"]["of_no_class"]["count"] == 10
    near = held["left_out"]["near_copies"]["count"]
    assert held["asked"] == held["shared_group_names"] == 20 - near > 0


def test_what_a_start_was_learned_from_leaks(kit: Kit) -> None:
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(20)]
    others = [(f"c{n % 2}/{n}", f"c{n % 2}", f"other {n}".encode()) for n in range(26)]
    with training(kit, LIGHT):
        asked = add_dataset(kit, others)
        incumbent = trained(kit, add_dataset(kit, members[:10]))
        kit.wait(
            lambda: kit.read(lambda s: s.get_one(DatasetVersionRow, asked.id)).status == "ready"
        )
        point(kit, incumbent)
        candidate = trained(kit, add_dataset(kit, members[10:]), "reptile")
        card = kit.read(lambda session: session.get_one(ModelRow, candidate)).card
        said = promote(kit, candidate, evaluation_set=asked.dataset_id)
    assert asked.dataset_id in [one["id"] for one in card["also_learned_from"]]
    assert said.reason == "the held-out set leaks: 26 of its 26 examples were trained on"


def test_groups_leak_too_and_nothing_held_out_is_said(kit: Kit) -> None:
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(40)]
    split = held_out(members)

    def of_one_camera(example: Example) -> Example:
        return in_group(split)(example).model_copy(update={"group": "camera 1"})

    others = [(f"c{n % 2}/{n}", f"c{n % 2}", f"other {n}".encode()) for n in range(20)]
    with training(kit, LIGHT):
        point(kit, trained(kit, add_dataset(kit, others)))
        said = promote(kit, trained(kit, add_dataset(kit, members, change=of_one_camera)))
        assert said.verdict == "refused"
        assert said.reason == (
            "the held-out set leaks: 26 of its 26 examples are of groups that were trained on"
        )
        nothing = promote(kit, trained(kit, add_dataset(kit, members)))
    assert nothing.verdict == "inconclusive"
    assert "no held-out example is left" in str(nothing.reason)


def test_a_forced_promotion_is_recorded_as_such(kit: Kit) -> None:
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(10)]
    with training(kit, LIGHT):
        first, second = (trained(kit, add_dataset(kit, members)) for _ in range(2))
    point(kit, first)
    asked = NewPromotion(
        alias=ALIAS, candidate=second, gate=PromotionGate(), actor="key_test", force=True
    )
    row = kit.commit(lambda session: promotions.ask(session, asked, organisation_id="acme"))
    assert (row.forced, row.verdict, meant(kit)) == (True, "promoted", second)
    told = kit.read(lambda session: moves.listing(
        session, organisation_id="acme", alias=ALIAS, after=None, limit=9
    ))  # fmt: skip
    assert [(move.cause, move.from_model_id, move.model_id) for move in told] == [
        ("promotion", first, second),
        ("put", None, first),
    ]
    alias = kit.read(lambda session: session.get_one(AliasRow, ("acme", ALIAS)))
    back = kit.read(lambda session: moves.former(session, organisation_id="acme", alias=alias))
    assert back == first


def noisy(data: bytes, seed: int) -> bytes:
    """The same picture as an augmenting exporter writes it: with noise that nobody sees."""
    random = np.random.default_rng(seed)
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    pixels += random.integers(-3, 4, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def test_copies_of_a_picture_count_once_in_the_gate_and_in_its_budget(sqlite_kit: Kit) -> None:
    kit, members = sqlite_kit, unlike(pictures(30))
    shown = unlike(pictures(5, seed=500))
    copies = [
        (f"{label}/{n} {path.rsplit('/')[-1]}", label, noisy(data, n))
        for path, label, data in shown
        for n in range(20)
    ]
    with training(kit, REAL):
        point(kit, trained(kit, add_dataset(kit, members)))
        candidate = trained(kit, add_dataset(kit, members[::2]))
        once, often = add_dataset(kit, shown), add_dataset(kit, copies)
        for version in (once, often):
            kit.wait_version(version.id)
        first = promote(kit, candidate, evaluation_set=once.dataset_id, margin=0.4)
        point(kit, kit.read(lambda s: s.get_one(PromotionRow, first.id)).incumbent or "")
        second = promote(kit, candidate, evaluation_set=often.dataset_id, margin=0.4)
    assert first.evidence is not None
    assert second.evidence is not None
    few, many = first.evidence, second.evidence
    assert (few["held_out"]["copies_of_one_another"], few["alpha"]["look"]) == (0, 1)
    assert many["examples"] >= 160  # what nearly is a training picture is not asked
    assert many["groups"] <= 10
    assert many["held_out"]["copies_of_one_another"] == many["examples"]
    assert many["alpha"]["look"] > 1.7
    assert many["alpha"]["fresh"] < 0.3


def test_what_is_deleted_meanwhile_is_not_embedded_again(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion had the held-out set's rows stored after the deletion was done."""
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(40)]
    others = [(f"c{n % 2}/{n}", f"c{n % 2}", f"other {n}".encode()) for n in range(26)]
    index, deleted = asked._index, list[datasets.Removed]()

    def delete_first(attempt: Attempt, segment: Segment) -> None:
        if not deleted:
            deleted.append(kit.commit(lambda session: datasets.remove(
                session, held.dataset_id, organisation_id="acme"
            )))  # fmt: skip
        index(attempt, segment)

    monkeypatch.setattr(asked, "_index", delete_first)
    with training(kit, LIGHT):
        point(kit, trained(kit, add_dataset(kit, members)))
        candidate = trained(kit, add_dataset(kit, members))
        held = add_dataset(kit, others)
        kit.wait_version(held.id)
        kit.commit(lambda session: session.execute(delete(EmbeddingRow)))  # as evicted ones are
        said = promote(kit, candidate, evaluation_set=held.dataset_id)
    assert deleted
    assert (said.verdict, said.reason) == ("refused", "the held-out dataset was deleted")
    contents = {sha256(data).hexdigest() for _, _, data in others}
    left = kit.read(lambda session: set(session.scalars(select(EmbeddingRow.sha256))))
    assert contents.isdisjoint(left)


def take_away(kit: Kit) -> None:
    gone = Move(cause="deleted", actor="key_test")
    models = (meant(kit), None)

    def step(session: Session) -> None:
        moves.record(session, organisation_id="acme", alias=ALIAS, move=gone, models=models)
        aliases.delete(session, organisation_id="acme", name=ALIAS)

    kit.commit(step)


@pytest.mark.parametrize("was_there", [True, False])
def test_an_alias_that_is_deleted_meanwhile_does_not_come_back(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, was_there: bool
) -> None:
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(40)]

    def gone(*_: object) -> tuple[Decision, list[str]]:
        point(kit, first)
        take_away(kit)
        return Decision("promoted", "there is no incumbent to compare with"), []

    monkeypatch.setattr(promote_kind, "_decide", gone)
    with training(kit, LIGHT):
        version = add_dataset(kit, members, change=in_group(held_out(members)))
        first, candidate = trained(kit, version), trained(kit, version)
        if was_there:
            point(kit, first)
        said = promote(kit, candidate)
        assert meant(kit) is None
        assert (said.verdict, said.status) == ("inconclusive", "decided")
        assert "was deleted meanwhile" in str(said.reason)
        monkeypatch.undo()
        assert promote(kit, candidate).verdict == "promoted", "who asks after it was deleted has it"
    assert meant(kit) == candidate


def test_an_alias_that_comes_to_mean_the_candidate_ends_the_promotion(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was decided, and nobody told: the hook's run that had asked went on for ever."""
    members = [(f"c{n % 2}/{n}", f"c{n % 2}", f"{n}".encode()) for n in range(40)]
    ended: list[str] = []

    def moved(*_: object) -> tuple[Decision, list[str]]:
        point(kit, candidate)
        return Decision("refused", "worse than what is not there any more"), []

    monkeypatch.setattr(promote_kind, "_decide", moved)
    monkeypatch.setattr(
        promote_kind.endings, "promotion_ended", lambda _, row: ended.append(str(row.verdict))
    )
    with training(kit, LIGHT):
        version = add_dataset(kit, members, change=in_group(held_out(members)))
        first, candidate = trained(kit, version), trained(kit, version)
        point(kit, first)
        said = promote(kit, candidate)
    assert (said.verdict, said.reason) == (
        "inconclusive",
        "the alias has come to mean the candidate meanwhile",
    )
    assert ended == ["inconclusive"]
