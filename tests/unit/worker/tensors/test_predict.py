"""A batch's rows through a real head, one by one or smoothed over one another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from app.core.errors import HeadstartError
from app.core.modalities import IMAGE, TEXT, ModalitySpec
from tests.unit.worker.ml.tasks import LAYOUT, clouds, task
from worker.ml import fit
from worker.tensors.predict import _over_one_another, predict


@dataclass(frozen=True)
class Spec:
    """Of the made-up backbone."""

    name, modality, input_size = "odd", "image", 8
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
    odd: tuple[int, ...] = (),
    left_out: tuple[int, ...] = (),
    gives: float = 1.0,
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
    engine: Any = SimpleNamespace(
        spec=Spec(), embed=lambda batch: np.full((len(batch), 3), gives, np.float32)
    )
    rows = clouds(counts, seed=7, noise=noise)
    stay = [at for at in range(sum(counts)) if at not in left_out]
    features = {view: value.float().clone() for view, value in rows.features.items()}
    for value in features.values():
        value[list(odd)] = torch.nan
    features = {view: value[stay] for view, value in features.items()}
    answer = predict(request, features, texts=None, engine=engine)
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


def test_rows_without_finite_scores_are_errors_and_touch_no_others(tmp_path: Path) -> None:
    _, fine = asked(tmp_path, [20, 20, 20], use_unlabelled=True, left_out=(3, 40))
    told, lines = asked(tmp_path, [20, 20, 20], use_unlabelled=True, odd=(3, 40))
    assert [one["index"] for one in told["faults"]] == [3, 40]
    assert {one["code"] for one in told["faults"]} == {"not_finite"}
    assert (told["labels"][3], told["labels"][40]) == ("", "")
    assert [at for at, line in enumerate(lines) if "error" in line] == [3, 40]
    good = [line for line in lines if "error" not in line]
    told_of = ("label", "probability", "smoothed", "unknown")
    assert [[one[name] for name in told_of] for one in good] == [
        [one[name] for name in told_of] for one in fine
    ]


def test_a_network_that_gives_nothing_finite_is_said_of_the_model(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError) as caught:
        asked(tmp_path, [2, 2, 2], use_unlabelled=False, odd=(1,), gives=np.nan)
    assert caught.value.code == "weights_invalid"
