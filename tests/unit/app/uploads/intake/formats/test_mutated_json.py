"""JSON of any shape: a key dropped or a value of another type is read or refused, never a fault."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import TITLES, HeadstartError
from app.uploads.intake import IntakeOptions, build
from tests.archives import zipped
from tests.unit.app.uploads.intake.formats import exports
from tests.unit.app.uploads.intake.formats.exports import BOXED, LABELS, WHOLE, Files

pytestmark = pytest.mark.slow

ANY = settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])
LINES = (".jsonl", ".manifest")
OPTIONS = (IntakeOptions(label_mode=None), IntakeOptions(label_mode=None, crops=True))
HUGE = "beyond every number"
"""Written as a number that JSON may say, and that is none of 64 bits."""
OTHERS: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        3,
        10**30,
        10**400,
        1.5,
        1e308,
        HUGE,
        "",
        "x",
        " ",
        "im0.png",
        "train",
        "accept",
        [],
        {},
    ),
    *([None], [[]], [{}], ["x", "y"], [1, 2], [0, 0, 1], {"x": 1}, {"label": "cat"}),
    *({"text": "like so"}, {"": None}, [[1, 2], [3, 4]], [{"label": "cat"}], {"choices": None}),
)
"""A value of each type, and such as mean something in another place."""
GONE = object()
Place = tuple[str | int, ...]


def _texts(**more: Any) -> bytes:
    return exports.lines(*exports.each(lambda at, _, label: _text(at, label, more)))


def _text(at: int, label: str, more: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: label if value is LABELS else value for name, value in more.items()}
    return {"text": f"how do I do the thing of number {at}", **named}


TEXTS: Mapping[str, Files] = {
    "plain": {"a.jsonl": _texts(label=LABELS, group="g", split="train")},
    "answers": {"a.jsonl": _texts(label=LABELS, answer="accept", meta={"a": 1})},
    "prodigy": {"a.jsonl": _texts(accept=[LABELS], answer="accept", options=[{"id": "cat"}])},
    "spacy": {"a.jsonl": _texts(cats={"cat": 1.0, "dog": 0.0})},
    "doccano": {"a.jsonl": _texts(id=1, label=["cat"], Comments=[], annotator=1)},
    "argilla": {"a.jsonl": _texts(**{"kind.responses": ["cat", "cat"]})},
    "vertex": {"a.jsonl": _texts(textContent="so", classificationAnnotation={"displayName": "a"})},
    "ground truth": {
        "a.manifest": _texts(source="so", kind=1, **{"kind-metadata": {"class-name": "cat"}})
    },
    "messages": {
        "a.jsonl": _texts(
            messages=[{"role": "user", "content": "so"}, {"role": "assistant", "content": "cat"}]
        )
    },
    "completions": {"a.jsonl": _texts(prompt="so", completion=" cat")},
    "label studio": {
        "a.json": exports.as_json(exports.each(lambda at, n, la: exports.task(at, n[:3], la)))
    },
    "json-min": {
        "a.json": exports.as_json(
            exports.each(lambda at, n, la: _text(at, la, {"choice": {"choices": [la]}, "id": at}))
        )
    },
}
SCALE = {
    "task_id": "t",
    "params": {"attachment": "https://s/im0.png"},
    "response": {"annotations": [{"label": "cat", "left": 1, "type": "box"}]},
}
FURTHER: Mapping[str, Files] = {
    "scale": {**exports.pictures("images/"), "tasks.json": exports.as_json([SCALE] * 6)},
    "fiftyone, names": {
        **exports.pictures("data/"),
        "labels.json": exports.as_json(
            {"labels": {name[:3]: {"label": label} for name, label in LABELS.items()}}
        ),
    },
    "vertex, boxes": {
        **exports.pictures(),
        "a.jsonl": exports.lines(
            *exports.each(
                lambda _, name, label: {
                    "imageGcsUri": name,
                    "boundingBoxAnnotations": [{"displayName": label, "xMin": 0.1}],
                    "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"},
                }
            )
        ),
    },
    "ground truth, boxes": {
        **exports.pictures(),
        "a.manifest": exports.lines(
            *exports.each(
                lambda _, name, label: {
                    "source-ref": name,
                    "kind": {"annotations": [{"class_id": 0}], "image_size": []},
                    "kind-metadata": {"class-map": {"0": label}, "type": "x"},
                }
            )
        ),
    },
    "ground truth, several": {
        **exports.pictures(),
        "a.manifest": exports.lines(
            *exports.each(
                lambda _, name, label: {
                    "source-ref": name,
                    "kind": [0],
                    "kind-metadata": {"class-map": {"0": label}},
                }
            )
        ),
    },
}
EXPORTS: Mapping[str, Files] = {
    **{f"text, {name}": files for name, files in TEXTS.items()},
    **{f"whole, {name}": files for name, files in WHOLE.items()},
    **{f"boxed, {name}": files for name, files in BOXED.items()},
    **FURTHER,
}


def _is_json(path: str) -> bool:
    return path.endswith((".json", *LINES))


WITH_JSON = {name: files for name, files in EXPORTS.items() if any(map(_is_json, files))}


def read(path: str, data: bytes) -> Any:
    if path.endswith(LINES):
        return [json.loads(line) for line in data.splitlines()]
    return json.loads(data)


def written(path: str, value: Any) -> bytes:
    lines = path.endswith(LINES) and isinstance(value, list)
    data = exports.lines(*value) if lines else exports.as_json(value)
    return data.replace(json.dumps(HUGE).encode(), b"1e999")


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every place in a JSON value, that of the whole first."""
    yield here
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, one in inner:
        yield from places(one, (*here, key))


def replaced(value: Any, place: Place, other: Any) -> Any:
    """The value with another at a place, or without it; itself where there is no such place."""
    if not place:
        return value if other is GONE else other
    key, *rest = place
    kept = dict(value) if isinstance(value, dict) else {}
    if isinstance(value, list) and isinstance(key, int):
        kept = dict(enumerate(value))
    if key not in kept:
        return value
    kept[key] = replaced(kept[key], tuple(rest), other) if rest else other
    kept = {name: one for name, one in kept.items() if one is not GONE}
    return list(kept.values()) if isinstance(value, list) else kept


def everywhere(value: Any, place: Place, other: Any) -> Any:
    """The same in each element of the list, or each value, that the place is in."""
    names = range(len(value)) if isinstance(value, list) else list(value)
    for name in names if len(place) > 1 else ():
        value = replaced(value, (name, *place[1:]), other)
    return value


def outcome(files: Files, options: IntakeOptions) -> str:
    """The code of the refusal, or "" of what is read. Raises whatever else is raised."""
    single = next(iter(files)) if len(files) == 1 else None
    data = files[single] if single is not None else zipped(dict(files))
    with tempfile.TemporaryDirectory() as folder:
        upload, staging = Path(folder, "upload"), Path(folder, "staging")
        staging.mkdir()
        upload.write_bytes(data)
        try:
            build(upload, filename=single or "a.zip", staging=staging, options=options)
        except HeadstartError as error:
            return error.code
    return ""


NULLS = [{"id": at, "data": {"image": "x.png"}, "annotations": [None]} for at in range(6)]
NUMBERED = {f"{at}.png": exports.picture(f"im{at}") for at in range(6)}
FAQ = [_text(at, "ab"[at % 2], {"label": LABELS, "answer": {"text": "so"}}) for at in range(6)]
LISTED = [{**one, "answer": ["like", "so"]} for one in FAQ]
TIMES = [{**one, "annotator": 1, "created_at": 10**400} for one in FAQ]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (FURTHER["scale"], "ambiguous_layout"),
        ({**NUMBERED, "t.json": exports.as_json(NULLS)}, "ambiguous_layout"),
        ({"a.jsonl": exports.lines(*FAQ)}, ""),
        ({"a.json": exports.as_json(FAQ)}, ""),
        ({"a.jsonl": exports.lines(*LISTED)}, ""),
        ({"a.jsonl": exports.lines(*TIMES)}, ""),
    ],
    ids=["scale", "nulls", "answer, object", "answer, in a list", "answer, list", "times"],
)
def test_what_other_tools_write(files: Files, code: str) -> None:
    assert outcome(files, OPTIONS[0]) == code


def test_tasks_of_scale_say_what_to_export(tmp_path: Path) -> None:
    upload = tmp_path / "a.zip"
    upload.write_bytes(zipped(dict(FURTHER["scale"])))
    with pytest.raises(HeadstartError) as caught:
        build(upload, filename="a.zip", staging=tmp_path, options=OPTIONS[0])
    assert "Scale's list of tasks, which is not read: export COCO" in caught.value.message


@ANY
@given(st.sampled_from(sorted(WITH_JSON)), st.sampled_from(OPTIONS), st.data())
def test_json_of_any_shape_is_read_or_refused(
    name: str, options: IntakeOptions, data: st.DataObject
) -> None:
    files = dict(WITH_JSON[name])
    path = data.draw(st.sampled_from(sorted(filter(_is_json, files))), "file")
    value = read(path, files[path])
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        place = data.draw(st.sampled_from(list(places(value))), "place")
        other = data.draw(st.sampled_from([GONE, *OTHERS]), "other")
        change = everywhere if place and data.draw(st.booleans(), "everywhere") else replaced
        value = change(value, place, other)
    files[path] = written(path, value)
    found = outcome(files, options)
    assert found == "" or found in TITLES
