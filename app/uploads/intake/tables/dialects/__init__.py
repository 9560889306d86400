"""JSON objects as other services write them, turned into plain rows: text or path, label, split.

Vertex AI's import files, SageMaker Ground Truth's manifests, Azure ML's JSONL, Prodigy's choices,
spaCy's categories, Label Studio's JSON-MIN. What is recognised and not read says what to export.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from app.uploads.intake.names import shown
from app.uploads.intake.refusals import odd_part
from app.uploads.intake.rows import Row
from app.uploads.intake.tables.roles import responses

Value = Mapping[str, Any]
Converter = Callable[[Value], dict[str, Any]]
_USE = "aiplatform.googleapis.com/ml_use"
_MANIFEST = "-metadata"


_LABELS = frozenset({"label", "labels", "class", "category", "class-name", "class_name", "target"})


class UndecidedLabelError(ValueError):
    """A row that says several labels, of which the caller is to say which counts."""


def converter(first: Value, label: str | None = None) -> Converter | None:
    """What makes plain rows of objects like the first; None where they are plain already.

    `label` is the column that the caller says to be the label.
    """
    found = next((read for known, read in _KNOWN if known(first)), None)
    if found is not _ground_truth:
        return found
    by_hand = label is None and not any(name.endswith(_MANIFEST) for name in first)
    return _by_hand if by_hand else partial(_ground_truth, wanted=label)


def converted(row: Row, value: Value, read: Converter | None) -> dict[str, Any]:
    """The plain row. Raises schema_mismatch for what is recognised and not read."""
    why = next((said for known, said in _UNREAD if known(value)), None)
    if why is not None:
        raise row.error("schema_mismatch", why)
    try:
        told = dict(value) if read is None else read(value)
    except UndecidedLabelError as error:
        raise row.error("schema_mismatch", str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        why = f"it is not as the rows before: {odd_part(error)}"
        raise row.error("schema_mismatch", why) from error
    return {name: _choices(one) for name, one in told.items()}


def _choices(value: Any) -> Any:
    """Label Studio's JSON-MIN has several choices so, and one as it is."""
    if isinstance(value, dict) and value.keys() == {"choices"}:
        return value["choices"]
    return value


def _vertex(value: Value) -> dict[str, Any]:
    """https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data"""
    told: dict[str, Any] = {}
    if "textContent" in value:
        told["text"] = value["textContent"]
    else:
        told["path"] = value.get("imageGcsUri") or value["textGcsUri"]
    one: Any = value.get("classificationAnnotation")
    several = value.get("classificationAnnotations")
    if isinstance(one, Mapping):
        told["label"] = one["displayName"]
    else:
        listed: Any = value.get("boundingBoxAnnotations") if several is None else several
        told["label"] = None if listed is None else sorted({each["displayName"] for each in listed})
    use = (value.get("dataItemResourceLabels") or {}).get(_USE)
    return {**told, "split": use} if use and use != "unassigned" else told


def _ground_truth(value: Value, wanted: str | None = None) -> dict[str, Any]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html

    `wanted` is the job whose label counts, and what its column is called.
    """
    told = {"text": value["source"]} if "source" in value else {"path": value["source-ref"]}
    if wanted is not None:
        return {**told, wanted: _of_job(value, wanted)}
    jobs = [name.removesuffix(_MANIFEST) for name in value if name.endswith(_MANIFEST)]
    if len(jobs) > 1:
        some = ", ".join(f"`{shown(job, 40)}`" for job in jobs[:10])
        raise UndecidedLabelError(
            f"several jobs have labelled it: {some}; say which with label_column"
        )
    return {**told, "label": _of_job(value, jobs[0]) if jobs else None}


def _by_hand(value: Value) -> dict[str, Any]:
    """An augmented manifest that no job has made: the label under a usual name. Raises
    UndecidedLabelError where there are several, or a job has made some of the lines."""
    if any(name.endswith(_MANIFEST) for name in value):
        raise UndecidedLabelError("a job has labelled it, and those before not: keep them apart")
    found = [name for name in value if str(name).lower() in _LABELS]
    if len(found) > 1:
        some = ", ".join(f"`{shown(name, 40)}`" for name in found)
        raise UndecidedLabelError(f"which is the label: {some}? say so with label_column")
    told = {"text": value["source"]} if "source" in value else {"path": value["source-ref"]}
    return {**told, "label": value[found[0]] if found else None}


def _of_job(value: Value, job: str) -> Any:
    """The label that a job gave; None where it has not seen the row, or failed at it."""
    about: Any = value.get(f"{job}{_MANIFEST}") or {}
    label: Any = value.get(job)
    if "failure-reason" in about or not (about and (label is not None or "class-name" in about)):
        return None
    if "class-name" in about:
        return about["class-name"]
    if isinstance(label, list):
        return [about["class-map"][str(number)] for number in label]
    if not isinstance(label, Mapping) or "annotations" not in label:
        kind = shown(str(about.get("type")), 60)
        raise UndecidedLabelError(f"its labels are of a kind that is not read: {kind}")
    ids = {str(box["class_id"]) for box in label["annotations"]}
    return sorted(about["class-map"][number] for number in ids)


def _azure(value: Value) -> dict[str, Any]:
    """https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema"""
    label = value.get("label")
    if isinstance(label, list) and label and isinstance(label[0], dict):
        label = sorted({one["label"] for one in label})
    return {"path": value["image_url"], "label": label}


def may_have_boxes(value: Value) -> bool:
    """Whether it is of a service that says boxes so."""
    return bool({"imageGcsUri", "source-ref", "image_url"} & set(value))


def is_boxed(value: Value) -> bool:
    """Whether the labels of a picture are those of boxes in it."""
    if "imageGcsUri" in value:
        listed = "classificationAnnotation" in value or "classificationAnnotations" in value
        return bool(value.get("boundingBoxAnnotations")) and not listed
    if "source-ref" in value:
        jobs = (one for one in value.values() if isinstance(one, Mapping))
        return any(bool(one.get("annotations")) for one in jobs)
    label = value.get("label")
    return (
        "image_url" in value and isinstance(label, list) and isinstance(next(iter(label), 0), dict)
    )


def _accepted(value: Value) -> dict[str, Any]:
    """Prodigy's `choice`: the ids that were chosen, where the answer counts; of ids that are
    numbers the options' texts."""
    told = {name: one for name, one in value.items() if name not in ("accept", "options", "answer")}
    if value.get("answer", "accept") != "accept":
        return {**told, "label": None}
    texts = {one["id"]: one.get("text") for one in value.get("options") or []}
    return {**told, "label": [_option(one, texts) for one in value.get("accept") or []]}


def _option(key: Any, texts: Mapping[Any, Any]) -> Any:
    text = texts.get(key)
    return text if str(key).isdecimal() and isinstance(text, str) and text.strip() else key


def _cats(value: Value) -> dict[str, Any]:
    """spaCy's `cats`: a probability a class, 1 and 0 where somebody has said so."""
    told = {name: one for name, one in value.items() if name != "cats"}
    cats = value["cats"]
    return {**told, "label": [name for name, share in cats.items() if float(share) >= 0.5]}


def _responses(value: Value) -> dict[str, Any]:
    """Argilla's records: one question's answers. Raises ValueError where several were asked."""
    names = responses.questions(value)
    if len(names) != 1:
        raise ValueError("several questions were answered: export one")
    return {"text": value.get("text"), "label": responses.agreed(value, names[0])}


_KNOWN: tuple[tuple[Callable[[Value], bool], Converter], ...] = (
    (
        lambda one: bool({"textContent", "imageGcsUri", "textGcsUri"} & set(one)),
        _vertex,
    ),
    (
        lambda one: (
            "source-ref" in one
            or ("source" in one and any(name.endswith(_MANIFEST) for name in one))
        ),
        _ground_truth,
    ),
    (lambda one: "image_url" in one and "path" not in one, _azure),
    (
        lambda one: (
            "label" not in one
            and isinstance(one.get("accept"), list)
            and ("answer" in one or "options" in one)
        ),
        _accepted,
    ),
    (
        lambda one: "label" not in one and isinstance(one.get("cats"), dict) and bool(one["cats"]),
        _cats,
    ),
    (
        lambda one: "label" not in one and bool(responses.questions(one)),
        _responses,
    ),
)

_PLAIN = "a CSV with the columns text and label, or path and label, is read"
_UNREAD: tuple[tuple[Callable[[Value], bool], str], ...] = (
    (
        lambda one: {"image", "prefix", "suffix"} <= set(one) and "<loc" in str(one["suffix"]),
        "this is Roboflow's JSONL for PaliGemma or Florence-2, which is not read: export COCO; "
        + _PLAIN,
    ),
    (
        lambda one: "preferred_output" in one or {"chosen", "rejected"} <= set(one),
        "it has a preferred and another answer, as for preference tuning, and no label: " + _PLAIN,
    ),
    (
        lambda one: isinstance(one.get("fields"), dict) and "responses" in one,
        "these are Argilla's records: export `dataset.records.to_datasets()` to CSV or Parquet; "
        + _PLAIN,
    ),
    (
        lambda one: "data_row" in one and "projects" in one,
        "this is Labelbox's export, which is not read: convert it to COCO; " + _PLAIN,
    ),
    (
        lambda one: isinstance(one.get("paragraphs"), list) and "label" not in one,
        "this is spaCy's training JSON, which is not read: " + _PLAIN,
    ),
    (
        lambda one: (
            isinstance(one.get("annotations"), list)
            and "text" in one
            and not {"label", "labels", "data"} & set(one)
            and any(
                isinstance(each, dict) and isinstance(each.get("label"), int)
                for each in one["annotations"]
            )
        ),
        "this is doccano's older export, with numbers in the labels' place: export JSONL with "
        "text labels",
    ),
)
