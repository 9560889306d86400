"""The prediction cache: by content and model version, within its bytes."""

from __future__ import annotations

import weakref
from array import array

from app.core.messages import Input, Target
from worker.answers.rendering import Labels, Scores
from worker.predictor.prediction_cache import PredictionCache, cache_key

LABELS = Labels(["a", "b"])
SCORES = Scores(LABELS, array("f", [0.5, 0.5]), unknown=True, familiarity=0.25)


def target(artifact: str = "m/1", sha256: str = "0") -> Target:
    return Target(model="m", backbone="b", artifact=artifact, sha256=sha256)


def test_the_key_is_content_kind_and_model_version() -> None:
    image = Input("image", b"x")
    keys = {
        cache_key(target(), image),
        cache_key(target(), Input("text", b"x")),
        cache_key(target(), Input("image", b"y")),
        cache_key(target("m/2"), image),
        cache_key(target("m/1", "1"), image),
    }
    assert len(keys) == 5
    assert cache_key(target(), Input("image", memoryview(b"x"))) == cache_key(target(), image)


def test_what_was_not_asked_for_lately_goes() -> None:
    cache = PredictionCache(3000)
    for name in (b"a", b"b"):
        cache.put(name, SCORES)
    cache.forget_idle(3600.0)
    assert len(cache) == 2
    cache.forget_idle(-1.0)
    assert (len(cache), cache.nbytes) == (0, 0)


def test_it_stays_within_its_budget_and_forgets_the_oldest() -> None:
    cache = PredictionCache(3000)
    for number in range(20):
        cache.get(b"0", LABELS)
        cache.put(str(number).encode(), SCORES)
    assert cache.nbytes <= 3000
    assert cache.get(b"0", LABELS) is not None
    assert cache.get(b"1", LABELS) is None
    assert len(cache) == 5


class Watched(Labels):
    """Labels whose end can be seen."""

    __slots__ = ("__weakref__",)


def test_what_is_recalled_has_the_numbers_and_the_labels_of_the_head_that_asks() -> None:
    cache = PredictionCache(3000)
    cache.put(b"0", SCORES)
    assert cache.get(b"0", LABELS) == SCORES


def test_it_keeps_no_heads_labels_alive() -> None:
    cache, labels = PredictionCache(3000), Watched(["a"])
    seen = weakref.ref(labels)
    cache.put(b"0", Scores(labels, array("f", [1.0])))
    del labels
    assert seen() is None
    assert len(cache) == 1
