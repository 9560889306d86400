"""The prediction cache: by content and model version, within its bytes."""

from __future__ import annotations

from array import array

from app.core.messages import Input, Target
from worker.serving.answers import Labels, Scores
from worker.serving.prediction_cache import PredictionCache, cache_key

SCORES = Scores(Labels(["a", "b"]), array("f", [0.5, 0.5]))


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


def test_it_stays_within_its_budget_and_forgets_the_oldest() -> None:
    cache = PredictionCache(3000)
    for number in range(20):
        cache.get(b"0")
        cache.put(str(number).encode(), SCORES)
    assert cache.nbytes <= 3000
    assert cache.get(b"0") is not None
    assert cache.get(b"1") is None
    assert len(cache) == 5
