"""docs/architecture.md says how an attempt goes: at most twelve files, none of them twice."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from app.infra.repositories import work
from tests.integration.worker.conftest import LIGHT
from tests.worker_kit import Kit, add_dataset, add_job, open_kit
from worker.trainer.context import open_context
from worker.trainer.kinds import KINDS
from worker.trainer.loop import Trainer

ROOT = Path(__file__).resolve().parents[3]
STEP = re.compile(r"^\d+\. `([\w/.]+)` `([\w.]+)`: ", re.MULTILINE)
Step = tuple[str, str]
"""A file, and the qualified name of the function by which the road enters it."""


def road() -> list[Step]:
    """The steps, as the document lists them."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.partition("## The road of a job")[2].partition("\n## ")[0]
    return [(match[1], match[2]) for match in STEP.finditer(section)]


def functions(path: Path) -> set[str]:
    """The functions and methods that a file defines at its outer levels."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if hasattr(one, "name")}
    return found


def test_it_has_at_most_twelve_files_and_enters_none_twice() -> None:
    files = [path for path, _ in road()]
    assert 0 < len(files) <= 12
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("step", road(), ids="::".join)
def test_each_step_is_there(step: Step) -> None:
    path, name = step
    assert name in functions(ROOT / path)


def test_a_real_attempt_goes_that_way(tmp_path: Path) -> None:
    """The parent's part; the child's is another process."""
    kit = open_kit(tmp_path)
    parents = [step for step in road() if step[0].startswith("worker/trainer/")]
    assert order(entered(kit, parents)) == parents


def entered(kit: Kit, steps: list[Step]) -> list[Step]:
    """Every entry by one of `steps` during an attempt at a job whose embeddings are cached."""
    context = open_context(kit.settings, child=LIGHT)
    trainer = Trainer(context)
    version = add_dataset(kit, [(f"{n % 2}/{n}", str(n % 2), b"%d" % n) for n in range(8)])
    seen: list[Step] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename.removeprefix(f"{ROOT}/")
        if event == "call" and (name, frame.f_code.co_qualname) in steps:
            seen.append((name, frame.f_code.co_qualname))

    try:
        trainer._turn()
        assert kit.version(version.id).status == "ready"
        job_id = add_job(kit, version)
        claimed = kit.commit(
            lambda session: work.claim(session, worker="w", kinds=["fine_tune"], lease_seconds=60)
        )
        assert claimed is not None
        kit.commit(lambda session: KINDS["fine_tune"].begin(session, claimed))
        sys.setprofile(note)
        try:
            trainer.attempt(claimed)
        finally:
            sys.setprofile(None)
        assert kit.job(job_id).status == "succeeded"
    finally:
        context.close()
        kit.engine.dispose()
    return seen


def order(seen: list[Step]) -> list[Step]:
    """The steps by their last entry."""
    return sorted(set(seen), key=lambda step: len(seen) - 1 - seen[::-1].index(step))
