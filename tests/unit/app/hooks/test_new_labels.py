"""What counts as a new label between two versions."""

from __future__ import annotations

from app.core import manifest
from app.core.manifest import Example
from app.hooks.new_labels import labels_in

ONE = Example(id="ex_1", sha256="s", label="", path="p", pack="k", offset=0, length=1)


def labelled(*names: str) -> Example:
    return ONE.model_copy(update={"labels": names})


def test_a_correction_is_one_of_several_labels_as_of_one() -> None:
    before = labels_in(manifest.dump([labelled("a", "b")]))
    assert len(labels_in(manifest.dump([labelled("a")])) - before) == 1
    assert len(labels_in(manifest.dump([labelled()])) - before) == 1
    single = [ONE.model_copy(update={"label": name}) for name in "ab"]
    assert len(labels_in(manifest.dump(single[1:])) - labels_in(manifest.dump(single[:1]))) == 1


def test_the_same_at_another_path_is_none() -> None:
    moved = labelled("a", "b").model_copy(update={"id": "ex_2", "path": "q"})
    assert labels_in(manifest.dump([moved])) == labels_in(manifest.dump([labelled("a", "b")]))
