"""Promotions where nothing is held out, and of models of several labels."""

from __future__ import annotations

from app.core.manifest import Example
from app.infra.orm import DatasetRow, DatasetVersionRow
from tests.integration.worker.conftest import REAL, training
from tests.integration.worker.test_promote import (
    meant,
    point,
    promote,
    trained,
    unlike,
)
from tests.worker_kit import Kit, Labelled, add_dataset, pictures


def swapped(members: list[Labelled], every: int) -> list[Labelled]:
    other = {"c0": "c1", "c1": "c0"}
    return [
        (path, label if place % every else other[label], data)
        for place, (path, label, data) in enumerate(members)
    ]


def test_without_a_held_out_split_shared_examples_decide_out_of_fold(sqlite_kit: Kit) -> None:
    kit, members = sqlite_kit, unlike(pictures(80))
    known, new = members[:60] + members[80:140], members[60:80] + members[140:]
    with training(kit, REAL):
        first = trained(kit, add_dataset(kit, known))
        point(kit, first)
        better = trained(kit, add_dataset(kit, members))
        good = promote(kit, better, margin=0.1)
        assert (good.verdict, meant(kit)) == ("promoted", better), good.reason
        wrong = [(path, {"c0": "c1", "c1": "c0"}[label], data) for path, label, data in new]
        poison = [(f"poison/{n}-{path}", label, data)
                  for n in range(4) for path, label, data in unlike_again(wrong, n)]  # fmt: skip
        bad = trained(kit, add_dataset(kit, [*members, *poison]))
        refused = promote(kit, bad, margin=0.1)
    assert good.evidence is not None
    assert refused.evidence is not None
    assert good.evidence["held_out"]["how"] == "out_of_fold"
    assert good.evidence["examples"] == 120
    assert "examples, each answered by fits that had not seen it" in str(good.reason)
    assert (refused.verdict, meant(kit)) == ("refused", better), refused.reason
    assert refused.evidence["alpha"]["look"] > 1.5
    assert refused.evidence["examples"] == 160  # no poisoned one speaks for itself


def unlike_again(members: list[Labelled], seed: int) -> list[Labelled]:
    """The same kinds of pictures, none of them a copy of another."""
    drawn = pictures(20, seed=5000 + 100 * seed)
    return [
        (path, label, data)
        for (path, label, _), (_, _, data) in zip(members, unlike(drawn), strict=True)
    ]


def several(version: DatasetVersionRow, kit: Kit) -> DatasetVersionRow:
    def say(session: object) -> None:
        row = session.get_one(DatasetRow, version.dataset_id)  # type: ignore[attr-defined]
        row.label_mode = "multi_label"

    kit.commit(say)
    return version


def marks(example: Example) -> Example:
    """Of a picture of one kind its kind and, of every other, that it is even."""
    even = int(example.path.rsplit("/")[-1].split(".")[0]) % 2 == 0
    labels = (example.label, "even") if even else (example.label,)
    return example.model_copy(update={"label": "", "labels": tuple(sorted(labels))})


def mixed(example: Example) -> Example:
    labels = tuple(sorted({"c0": "c1", "c1": "c0"}.get(x, x) for x in marks(example).labels or ()))
    return marks(example).model_copy(update={"labels": labels})


def split(example: Example) -> Example:
    number = int(example.path.rsplit("/")[-1].split(".")[0])
    return example.model_copy(update={"split": "test" if number >= 20 else "train"})


def test_models_of_several_labels_are_compared(sqlite_kit: Kit) -> None:
    kit, members = sqlite_kit, unlike(pictures(60))
    with training(kit, REAL):
        first = trained(
            kit, several(add_dataset(kit, members, change=lambda one: split(marks(one))), kit)
        )
        said = promote(kit, first, floors={"c0": 0.5})
        assert (said.verdict, meant(kit)) == ("promoted", first), said.reason
        second = trained(
            kit, several(add_dataset(kit, members, change=lambda one: split(marks(one))), kit)
        )
        good = promote(kit, second, margin=0.2)
        assert (good.verdict, meant(kit)) == ("promoted", second), good.reason

        def poisoned(example: Example) -> Example:
            return split(mixed(example) if split(example).split == "train" else marks(example))

        bad = trained(kit, several(add_dataset(kit, members, change=poisoned), kit))
        refused = promote(kit, bad, margin=0.2)
    assert (refused.verdict, meant(kit)) == ("refused", second), refused.reason
    assert str(refused.reason).startswith("mean average precision is 0.")
    assert refused.evidence is not None
    named = {one["label"]: one for one in refused.evidence["classes"]}
    assert named["c0"]["candidate_average_precision"] < named["c0"]["incumbent_average_precision"]
