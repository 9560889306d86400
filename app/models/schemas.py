"""What the model, alias and catalogue routes take and answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.manifest import LabelMode
from app.core.modalities import TuningMethod
from app.http.schemas import Calibration, Interval, PredictionCost
from app.models.advice_schemas import ADVICE, Advice
from app.models.fit_schemas import DeeperTry, MirrorImages

_MODEL: dict[str, Any] = {
    "id": "ft:efficientnet_lite0:default:cells:01ke4c0f6v6z2k8m9q3w5x7y1t",
    "object": "model",
    "created": 1764000001,
    "owned_by": "default",
    "backbone": "efficientnet_lite0",
    "modality": "image",
    "method": "auto",
    "label_mode": "single_label",
    "job": "ftjob-01ke4c0f6v6z2k8m9q3w5x7y1t",
    "bytes": 81234,
    "sha256": "9f2c1f7a4b0d6e8c3a5b7d9f1e2c4a6b8d0f2e4c6a8b0d2f4e6c8a0b2d4f6e8c",
    "aliases": ["cells@production"],
    "suffix": "cells",
    "dataset": {"id": "ds_01ke4bz3r0h5d8g2j4n6p9s1v3", "name": "cells", "version": 1},
    "accuracy": {"value": 0.96, "low": 0.9, "high": 0.99},
    "trained_on_erased": 0,
}
_INTERVAL: dict[str, Any] = {"value": 0.96, "low": 0.9, "high": 0.99}
_EXPECTED: dict[str, Any] = {**_INTERVAL, "expected": 0.963}


class ModelOrigin(BaseModel):
    """The version of a dataset that a model was made of."""

    id: str
    name: str
    version: int


class Model(BaseModel):
    """A registered result: a head on a backbone."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MODEL]})

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    backbone: str
    modality: Literal["image", "text"]
    method: str
    label_mode: LabelMode = Field(
        "single_label",
        description="multi_label: each class is answered for itself, and `labels` are those"
        " beyond their thresholds.",
    )
    job: str | None
    bytes: int = Field(description="Of the head's weights.")
    sha256: str = Field(description="Of the head's weights.")
    aliases: list[str]
    suffix: str | None = Field(None, description="What its job called it.")
    dataset: ModelOrigin | None = Field(
        None, description="What it was made of; null once that is deleted."
    )
    accuracy: Interval | None = Field(
        None, description="As in the evaluation; null where that has no such figure."
    )
    trained_on_erased: int = Field(
        0,
        description="Examples that it has learned from and that were erased since: its weights and"
        " figures are what they were.",
    )


class ModelPrecision(BaseModel):
    """Engines by name, such as `openvino-bf16`: where they compute otherwise, answers do too."""

    fitted: str | None = Field(description="What the model's embeddings were computed in.")
    served: str | None = Field(
        description="What the predictor that was asked answers it in; null if none could be asked."
    )


class ModelDetail(Model):
    """A model with its card, the content of `model.json`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _MODEL
                | {
                    "name": _MODEL["id"],
                    "ready": True,
                    "precision": {"fitted": "openvino-bf16", "served": "openvino-bf16"},
                    "prediction": {
                        "backbones": ["efficientnet_lite0"],
                        "views": ["squish"],
                        "passes": 1,
                    },
                    "card": {"labels": ["RBC", "WBC"], "views": ["squish"]},
                }
            ]
        }
    )

    name: str = Field(description="The id, where KServe's clients read it.")
    ready: Literal[True] = Field(True, description="A registered model is; for KServe's clients.")
    precision: ModelPrecision
    prediction: PredictionCost
    calibration: Calibration | None = Field(
        None, description="By which unlabelled inputs its `unknown` was set anew, if by any."
    )
    card: dict[str, Any] = Field(
        description="Backbone and its weights' sha256, preprocessing, labels, dataset version, "
        "hyperparameters, evaluation, library versions."
    )


class Baseline(BaseModel):
    """What always guessing one class would give."""

    label: str
    accuracy: float


class NewSources(BaseModel):
    """What to expect elsewhere: another camera, light, shop, hand."""

    accuracy: Interval = Field(
        description="A wide interval: what a new source changes is known from other data alone."
    )
    holds_for: str


class Evaluation(BaseModel):
    """How good a model is, how that was found out, and what would make it better."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "object": "model.evaluation",
                    "model": _MODEL["id"],
                    "how": {
                        "method": "k-fold",
                        "folds": 5,
                        "num_examples": 50,
                        "left_out": 0,
                        "holds_for": "inputs that come as the examples came",
                    },
                    "estimable": True,
                    "accuracy": _EXPECTED,
                    "balanced_accuracy": _EXPECTED,
                    "new_sources": {
                        "accuracy": {"value": 0.93, "low": 0.64, "high": 0.99},
                        "holds_for": "inputs of a source that no judged example is from",
                    },
                    "log_loss": {"value": 0.14, "low": 0.06, "high": 0.22},
                    "calibration_error": {"value": 0.05, "low": 0.0, "high": 0.11},
                    "per_class": [
                        {
                            "label": "RBC",
                            "support": 25,
                            "precision": _INTERVAL,
                            "recall": _INTERVAL,
                            "f1": _INTERVAL,
                        }
                    ],
                    "confusion_matrix": {"labels": ["RBC", "WBC"], "counts": [[24, 1], [1, 24]]},
                    "class_balance": {
                        "counts": {"RBC": 25, "WBC": 25},
                        "imbalance": 1.0,
                        "loss": "balanced",
                        "logit_adjustment": "equal classes",
                    },
                    "advice": ADVICE,
                }
            ]
        },
    )

    object: Literal["model.evaluation"] = "model.evaluation"
    model: str
    label_mode: LabelMode = "single_label"
    how: dict[str, Any] | None = Field(
        None,
        description="Hold-out, k-fold or leave-one-out; `holds_for`: the inputs that the figures "
        "hold for; `augmented_copies`: examples that were trained on alone; "
        "`contradicting_copies`: how many (`count`) of the `errors` are near copies under another "
        "label.",
    )
    estimable: bool | None = None
    accuracy: Interval | None = Field(
        None,
        description="`value` is the share of the judged examples that was right. Out of fold, each "
        "was judged by a fit of fewer examples: `expected` is what the model itself should have, "
        "and the interval is of that.",
    )
    balanced_accuracy: Interval | None = Field(None, description="As `accuracy`.")
    new_sources: NewSources | None = Field(
        None,
        description="The accuracy to expect on inputs of a source that no example is from. Null "
        "where nothing is estimable, of several labels, and of models from before it was given.",
    )
    log_loss: Interval | None = None
    calibration_error: Interval | None = None
    mean_average_precision: Interval | None = Field(
        None, description="Of a multi-label model, as are the next three."
    )
    micro_f1: Interval | None = Field(None, description="Of all labels together.")
    macro_f1: Interval | None = Field(None, description="The mean over classes.")
    exact_match: Interval | None = Field(
        None, description="The share of examples whose labels are all right."
    )
    per_class: list[dict[str, Any]] | None = Field(
        None,
        description="Precision, recall and F1 of each class, each with its interval. Of a"
        " multi-label model also `average_precision`, the `threshold` that the three are stated"
        " of, and `operating_points` at others.",
    )
    confusion_matrix: dict[str, Any] | None = Field(
        None,
        description="`labels`, and `counts` with a row for each true class; null for over 200.",
    )
    class_balance: dict[str, Any] | None = Field(
        None,
        description="`counts` of each class's training examples, `imbalance` of the largest to the "
        "smallest, and how the fit took it: `loss`, `logit_adjustment`.",
    )
    baseline: Baseline | None = Field(
        None, description="What always guessing the most frequent class would have got right."
    )
    curves: dict[str, Any] | None = Field(
        None,
        description="`reliability`: bins of confidence, each with its `count`, mean `confidence` "
        "and `accuracy` with an interval.",
    )
    mirror_images: MirrorImages | None = Field(
        None,
        description="Whether the fit learned from mirror images of the examples. Null where there "
        "were none yet, or `views` were asked for.",
    )
    deeper: DeeperTry | None = Field(
        None, description="Where the network was tuned, or `depth` auto was asked for."
    )
    advice: Advice | None = Field(None, description="Null for models from before it was given.")


class ModelArtifact(BaseModel):
    """A file of a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "head",
                    "object": "model.artifact",
                    "filename": "head.safetensors",
                    "media_type": "application/octet-stream",
                }
            ]
        }
    )

    id: str
    object: Literal["model.artifact"] = "model.artifact"
    filename: str
    media_type: str


class Export(BaseModel):
    """An export that is still being made; the same request answers with the bundle once it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": _MODEL["id"], "format": "onnx", "status": "running"}]
        }
    )

    object: Literal["model.export"] = "model.export"
    model: str
    format: str
    status: str = Field(description="`queued` or `running`.")


class BackboneWeights(BaseModel):
    """Pretrained weights found on this machine."""

    sha256: str
    source: Literal["folder", "package", "download"]


class Backbone(BaseModel):
    """A frozen pretrained network that heads can be trained on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "efficientnet_lite0",
                    "object": "backbone",
                    "name": "efficientnet_lite0",
                    "modality": "image",
                    "dim": 1280,
                    "source": "own",
                    "licence": "Apache-2.0",
                    "input_size": 224,
                    "reads": None,
                    "tuning": ["partial", "lora", "full"],
                    "weights": {"sha256": "57934424…", "source": "package"},
                    "available": True,
                    "reason": None,
                    "examples_per_second": 96.4,
                    "default": True,
                    "reads_names": False,
                }
            ]
        }
    )

    id: str
    object: Literal["backbone"] = "backbone"
    name: str
    modality: Literal["image", "text"]
    dim: int | None = Field(
        description="Length of the last layer's embedding; null until a model here was made on it."
    )
    source: Literal["own", "torchvision", "timm", "hugging_face", "torch_hub", "graph"] = Field(
        description="Whose network it is; `own` are those that come with the service."
    )
    licence: str
    input_size: int = Field(description="Pixels of a side, or word pieces of a text's window.")
    reads: int | None = Field(
        description="Word pieces of a text that count, all its windows together; null for images."
    )
    tuning: list[TuningMethod] = Field(
        description="The methods that tune the network itself (`setfit` of texts alone); none of a"
        " graph file, or of several side by side. A network whose code cannot be followed refuses"
        " (`cut_unavailable`)."
    )
    weights: BackboneWeights | None
    available: bool = Field(description="Whether this process finds the weights.")
    reason: str | None = Field(description="How to supply them, where they are missing.")
    examples_per_second: float | None = Field(
        description="From upload to ready, the median of the latest datasets here; null before one."
    )
    default: bool = Field(description="Whether uploads are embedded with it at once.")
    reads_names: bool = Field(
        description="Whether names of classes count on it, and stand in for missing examples."
    )


class Method(BaseModel):
    """A way to train a head."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "ridge",
                    "object": "method",
                    "description": "Least squares on one-hot labels.",
                    "source": "Hoerl & Kennard 1970",
                    "modalities": ["image", "text"],
                    "label_modes": ["single_label", "multi_label"],
                    "hyperparameters": {"type": "object", "properties": {}},
                }
            ]
        }
    )

    id: str
    object: Literal["method"] = "method"
    description: str
    source: str
    modalities: list[Literal["image", "text"]]
    label_modes: list[LabelMode]
    hyperparameters: dict[str, Any] = Field(description="Their JSON Schema.")
