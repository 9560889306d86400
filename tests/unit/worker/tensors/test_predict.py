"""A batch's rows through a real head, one by one or smoothed over one another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from app.core.modalities import IMAGE, TEXT, ModalitySpec
from tests.unit.worker.ml.tasks import LAYOUT, clouds, task
from worker.ml import fit
from worker.tensors.predict import _over_one_another, predict


@dataclass(frozen=True)
class Spec:
    """Of the made-up backbone."""

    layout = LAYOUT
    reads: ModalitySpec = IMAGE


Said = tuple[dict[str, Any], list[dict[str, Any]]]


def asked(
    folder: Path,
    counts: list[int],
    *,
    use_unlabelled: bool,
    per_class: float = 2,
    noise: float = 1.6,
) -> Said:
    head = fit.fit(task(clouds([2, 2, 2], noise=noise))).head
    save_file({n: x.contiguous() for n, x in head.tensors.items()}, folder / "head")
    request = {
        "head": str(folder / "head"),
        "config": head.config.as_json(),
        "top_k": 3,
        "unknown": None,
        "use_unlabelled": use_unlabelled,
        "per_class": per_class,
        "out": str(folder / "out"),
    }
    spec: Any = Spec()
    rows = clouds(counts, seed=7, noise=noise)
    answer = predict(request, rows.features, texts=None, spec=spec)
    return answer, [json.loads(line) for line in (folder / "out").read_text().splitlines()]


def test_smoothed_answers_say_so_and_what_is_unknown_stays(tmp_path: Path) -> None:
    plain, alone = asked(tmp_path, [20, 20, 20], use_unlabelled=False)
    told, together = asked(tmp_path, [20, 20, 20], use_unlabelled=True)
    assert "left_off" not in plain
    assert not any("smoothed" in one for one in alone)
    assert told["left_off"] is None
    assert all(one["smoothed"] is True for one in together)
    assert [one["label"] for one in together] == told["labels"]
    assert [one["probability"] for one in together] != [one["probability"] for one in alone]
    for name in ("unknown", "familiarity"):
        assert [one[name] for one in together] == [one[name] for one in alone]
    for one in together:
        total = sum(item["probability"] for item in one["predictions"])
        assert total == pytest.approx(1, abs=1e-4)


def test_where_it_is_left_off_answers_are_as_alone(tmp_path: Path) -> None:
    _, alone = asked(tmp_path, [60, 0, 0], use_unlabelled=False)
    told, together = asked(tmp_path, [60, 0, 0], use_unlabelled=True, per_class=50)
    assert told["left_off"]["code"] == "enough_examples"
    assert [one.pop("smoothed") for one in together] == [False] * 60
    assert together == alone


def test_texts_are_answered_one_by_one() -> None:
    nothing: Any = None
    texts: Any = Spec(reads=TEXT)
    told, same = _over_one_another({"use_unlabelled": True}, nothing, [], {}, texts)
    assert told["left_off"]["code"] == "texts"
    assert same == []


def test_the_rows_of_a_batch_decide_its_balance(tmp_path: Path) -> None:
    told, _ = asked(tmp_path, [60, 0, 0], use_unlabelled=True, noise=0.3)
    assert told["left_off"]["code"] == "unbalanced"
