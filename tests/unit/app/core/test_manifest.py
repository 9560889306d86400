"""The manifest's bytes, and a name of its own for each."""

from __future__ import annotations

from app.core import manifest
from app.core.manifest import Example

ONE = Example(id="ex_1", sha256="s", label="a", path="p", pack="k", offset=0, length=1)
TWO = ONE.model_copy(update={"id": "ex_2", "label": "b"})


def test_a_manifest_of_its_own_reads_the_same() -> None:
    data = manifest.dump([ONE, TWO])
    first, second = manifest.once(data), manifest.once(data)
    assert first != second
    assert list(manifest.load(first)) == list(manifest.load(second)) == [ONE, TWO]
    assert first.startswith(b'{"id":"ex_1"')
    assert first.splitlines()[1:] == data.splitlines()[1:]


def test_a_single_line_may_be_a_manifest() -> None:
    assert list(manifest.load(manifest.once(manifest.dump([ONE])))) == [ONE]
