"""How many numbers a line of YOLO's has, and what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import HeadstartError
from app.core.image_header import inspect
from app.uploads.intake import Built, IntakeOptions
from tests.archives import png, zipped
from tests.unit.app.uploads.intake.conftest import Take

Refused = Callable[..., HeadstartError]
CROPS = IntakeOptions(crops=True, crops_wanted=True)
YAML = "names: ['dent', 'scratch']\nnc: 2\n"


def archive(line: str, yaml: str = YAML) -> bytes:
    files = {f"images/{at}.png": png(at, width=100, height=100) for at in range(6)}
    files |= {f"labels/{at}.txt": f"{at % 2} {line}\n".encode() for at in range(6)}
    return zipped({**files, "data.yaml": yaml.encode()})


def sizes(built: Built) -> set[tuple[int, int]]:
    packed = built.pack_path.read_bytes()
    found = (inspect(packed[one.offset : one.offset + one.length]) for one in built.examples)
    return {(one.width, one.height) for one in found}


BOX = "0.5 0.5 0.4 0.2"
POSE = YAML + "kpt_shape: [2, 3]\n"


@pytest.mark.parametrize(
    ("line", "yaml", "guessed"),
    [
        (BOX, YAML, False),
        (f"{BOX} 0.87", YAML, True),
        (f"{BOX} 0.87 12", YAML, True),
        (f"{BOX} 0.91 1", YAML, True),
        (f"{BOX} 0.1 0.1 2 0.9 0.9 2", POSE, False),
        ("0.3 0.4 0.7 0.4 0.7 0.6 0.3 0.6", YAML, False),
        ("0.3 0.4 0.7 0.4 0.7 0.6", YAML, False),
    ],
)
def test_a_box_is_cut_out_as_it_was_drawn(take: Take, line: str, yaml: str, guessed: bool) -> None:
    built = take(archive(line, yaml), options=CROPS)
    assert sizes(built) == {(40, 20)}
    told = [one.message for one in built.problems if "as a model writes them" in one.message]
    assert bool(told) is guessed


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("30 40 70 60", "30 is no fraction"),
        ("0.3 0.4 0.7 0.4 0.7 12.5 0.3 0.6", "12.5 is no fraction"),
        (f"{BOX} 0.1 0.1 2", "7 numbers are no box"),
        (f"{BOX} 0.1 0.1 2 0.9 0.9 2 0.3 0.2 1", "13 numbers are no box"),
    ],
)
@pytest.mark.parametrize("crops", [False, True])
def test_what_may_be_either_is_refused_with_its_line(
    refused: Refused, line: str, why: str, crops: bool
) -> None:
    options = CROPS if crops else IntakeOptions(label_mode=None)
    error = refused(archive(line), options=options)
    assert why in error.message
    assert "labels/0.txt, line 1" in error.message


def test_what_lies_a_little_over_the_edge_is_a_box(take: Take) -> None:
    assert sizes(take(archive("0.9 0.5 0.4 0.2"), options=CROPS)) == {(30, 20)}
    assert sizes(take(archive("-0.1 0.4 0.4 0.4 0.4 0.6 -0.1 0.6"), options=CROPS)) == {(40, 20)}
