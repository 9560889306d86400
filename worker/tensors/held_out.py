"""What a fitted head answers to the examples that it was judged on, as a file of one a line."""

from __future__ import annotations

import json
from pathlib import Path

from worker.ml.assess.answers import Rows


def write(path: Path, answers: Rows | None) -> None:
    """Write the answers, if there are any."""
    if answers is None:
        return
    with path.open("w", encoding="utf-8") as file:
        for row in answers.rows():
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
