"""What the console offers of the upload form is what the form takes."""

from __future__ import annotations

import re
from pathlib import Path

from app.uploads.form import IntakeForm
from app.uploads.intake import code_pages
from app.uploads.intake.tables import encodings

READ_AS = Path(__file__).parents[4] / "app/console/web/parts/upload/read_as.js"
SAID_ELSEWHERE = {"name", "modality", "backbone", "seed", "val_fraction", "coco"}


def test_every_field_of_the_form_is_offered() -> None:
    offered = set(re.findall(r'^  \["([a-z_]+)"', READ_AS.read_text("utf-8"), re.MULTILINE))
    assert offered | SAID_ELSEWHERE == set(IntakeForm.model_fields)


def test_every_encoding_is_offered() -> None:
    lists = re.findall(r'named\("as they seem", "([^"]+)"\)', READ_AS.read_text("utf-8"))
    assert [set(one.split()) for one in lists] == [
        set(code_pages.OFFERED),
        set(encodings.OFFERED),
    ]
