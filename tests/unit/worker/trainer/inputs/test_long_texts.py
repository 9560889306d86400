"""One problem counts all texts of a version that go on behind what is read of them."""

from __future__ import annotations

from dataclasses import replace

from app.core.manifest import Example, Problem, windowed
from app.infra.orm import DatasetVersionRow
from worker.trainer.embedding_cache import Scope
from worker.trainer.inputs import long_texts
from worker.trainer.tensor_process import EngineFacts

FACTS = EngineFacts(
    backbone="mine",
    modality="text",
    dim=8,
    precision="f32",
    weights_sha256="",
    weights_source="",
    preprocessing="1",
    libraries={},
    keys={"text": "k"},
    window=254,
    reads=2032,
)


def example(number: int, length: int = 9000) -> Example:
    name = str(number)
    return Example(
        id=name, sha256=name, label="x", path=f"t:{name}", pack="p", offset=0, length=length
    )


def test_chunks_are_counted_together() -> None:
    other = Problem(code="label_collision", message="alike")
    version = DatasetVersionRow(problems=[other.model_dump()])
    long_texts.tell(version, FACTS, [example(1), example(2)])
    long_texts.tell(version, FACTS, [example(at) for at in range(3, 1003)])
    assert [problem["code"] for problem in version.problems] == ["label_collision", "truncated"]
    told = version.problems[1]
    assert told["message"].startswith("1,002 text(s) are longer than the 2,032 pieces")
    assert (told["path"], told["excluded"]) == ("t:1", False)


def test_rows_of_longer_texts_have_names_of_their_own() -> None:
    scope = Scope(organisation_id="acme", key="k", window=FACTS.window)
    assert scope.row_of(example(1, 254)) == "1"
    assert scope.row_of(example(1, 255)) == windowed("1") != "1"
    assert replace(scope, window=0).row_of(example(1, 9999)) == "1"
