"""One schema a method: which hyperparameters there are, their ranges, and "auto"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.manifest import LabelMode, Modality
from app.core.modalities import Depth, View

Auto = Literal["auto"]
Space = Literal["last", "late", "all"]

Positive = Annotated[float, Field(strict=True, ge=1e-6, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(strict=True, ge=1e-7, le=10, allow_inf_nan=False)]
Alarm = Annotated[float, Field(strict=True, gt=0, le=0.5, allow_inf_nan=False)]
Epochs = Annotated[int, Field(strict=True, ge=1, le=10_000)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Multiplier = Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)]


Prompt = Annotated[
    str, Field(strict=True, min_length=2, max_length=200, pattern=r"^[^{}]*\{\}[^{}]*$")
]


class Hyperparameters(BaseModel):
    """What every method has: how sure `unknown` must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unknown_false_alarm_rate: Auto | Alarm = Field(
        "auto", description="Share of known inputs that may be called unknown (auto: 0.05)."
    )


class Frozen(Hyperparameters):
    """What every method but the textbook one has: views, and the weight of the classes."""

    views: Auto | list[View] = Field(
        "auto", description="Views of the support to learn from (auto: the best of those cached)."
    )
    prediction_views: Literal["squish", "all"] = Field(
        "squish",
        description="squish: one backbone pass a prediction; all: one for each view learned from.",
    )
    class_balance: Auto | Literal["balanced", "none"] = Field(
        "auto", description="balanced: every class has the same say (auto: balanced)."
    )


class AutoMethod(Frozen):
    """Several spaces and heads, weighed by their out-of-fold likelihood and averaged."""

    label_names: Auto | bool | Literal["alone"] = Field(
        "auto",
        description="Whether what the classes are called counts, on a backbone that reads names:"
        " encoders of texts, and networks of two towers (CLIP, SigLIP). alone: examples only judge"
        " it; so it is, too, where a class has no example. auto: as far as it proves useful.",
    )
    prompts: Auto | Annotated[list[Prompt], Field(min_length=1, max_length=80)] = Field(
        "auto",
        description="What is said of a name, which goes where `{}` is; the means of several count."
        " Of pictures, auto is `a photo of a {}.` and `{}`.",
    )

    n_epochs: Auto | Epochs = Field("auto", description="OpenAI's name; a closed form has none.")
    batch_size: Auto | Count = Field("auto", description="OpenAI's name; unused.")
    learning_rate_multiplier: Auto | Multiplier = Field("auto", description="Likewise unused.")


class OneSpace(Frozen):
    """A single head in a single feature space."""

    space: Auto | Space = Field(
        "auto", description="last: last layer; late: later levels, whitened; all: every level."
    )


class Logistic(OneSpace):
    """Multinomial logistic regression."""

    l2: Auto | Positive = Field("auto", description="λ of ½λ‖W‖² (auto: by cross-validation).")


class Ridge(OneSpace):
    """Least squares on one-hot labels."""

    l2: Auto | Positive = Field("auto", description="λ (auto: by leave-one-out in closed form).")


class Lda(OneSpace):
    """Linear discriminant analysis, its within-class covariance shrunk to the identity."""

    shrinkage: Auto | Share = Field("auto", description="Share of the identity (auto: by folds).")


class Prototypical(OneSpace):
    """The nearest class mean."""


class Matching(OneSpace):
    """Attention over the support set."""

    sharpness: Auto | Positive = Field(
        "auto", description="Factor on the cosine before the softmax (auto: by cross-validation)."
    )


class Reptile(OneSpace):
    """A linear head whose start is learned from the other datasets of the organisation."""

    meta_iterations: Auto | Count = Field("auto", description="Tasks visited while learning it.")
    meta_step: Auto | Share = Field("auto", description="How far the start follows each task.")
    inner_steps: Auto | Epochs = Field("auto", description="Gradient steps within a task.")
    inner_learning_rate: Auto | Rate = Field("auto", description="Their length.")


class Tuned(Hyperparameters):
    """What every method that tunes the network has."""

    epochs: Auto | Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        "auto",
        validation_alias=AliasChoices("epochs", "n_epochs"),
        description="At most so many a training (auto: by the number of examples, 3 to 10).",
    )
    share: Auto | Share = Field(
        "auto",
        description="What the tuned network counts for beside the frozen heads "
        "(auto: chosen out of fold; 0 where it is no better).",
    )
    class_balance: Auto | Literal["balanced", "none"] = Field(
        "auto", description="balanced: every class has the same say (auto: balanced)."
    )


class Partial(Tuned):
    """The network's last stages tuned from the frozen heads, and blended with them out of fold."""

    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="Of the last stage; earlier ones have less (auto: 1e-3).",
    )


class Lora(Tuned):
    """Low-rank adapters beside every layer, the network as it is; blended as `partial` is."""

    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="Of the adapters (auto: 1e-3).",
    )
    rank: Auto | Annotated[int, Field(strict=True, ge=1, le=64)] = Field(
        "auto",
        validation_alias=AliasChoices("rank", "r", "lora_r"),
        description="Of each adapter while it is trained; three are kept (auto: 8).",
    )


class Full(Tuned):
    """Every layer of the network tuned from the frozen heads; blended as `partial` is."""

    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="Of the last layers; earlier ones have less (auto: 3e-4 of pictures, 1e-4 of"
        " texts).",
    )


class Linear(Hyperparameters):
    """The textbook recipe: a new fully connected layer by gradient descent."""

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: Auto | Rate = Field(
        "auto",
        validation_alias=AliasChoices("learning_rate", "lr"),
        description="auto: 1e-4 (Adam), 1e-2 (SGD).",
    )
    epochs: Auto | Epochs = Field(
        "auto", validation_alias=AliasChoices("epochs", "n_epochs"), description="auto: 10."
    )
    batch_size: Auto | Count = Field("auto", description="auto: 32.")
    l2: Auto | Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)] = Field(
        "auto",
        validation_alias=AliasChoices("l2", "lambda", "weight_decay"),
        description="λ of λ‖W‖² (auto: 1e-4).",
    )
    momentum: Auto | Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        "auto", description="Of SGD (auto: 0.9)."
    )
    patience: Auto | Epochs | None = Field(
        "auto", description="Epochs without a better one before stopping (auto: 5; null: never)."
    )


@dataclass(frozen=True)
class MethodSpec:
    """A way to fit a head, as all but the code that fits it needs to know it.

    `not_exported` are formats that cannot follow the head, `other_datasets` is whether it learns
    from those of the organisation, `ignored` are hyperparameters that are accepted only because
    other clients send them. What the schema says in its first line is shown as the description.
    """

    schema: type[Hyperparameters]
    source: str
    modalities: tuple[Modality, ...] = ("image", "text")
    label_modes: tuple[LabelMode, ...] = ("single_label",)
    not_exported: frozenset[str] = frozenset()
    other_datasets: bool = False
    ignored: tuple[str, ...] = ()
    depth: Depth | None = None
    """How deep it tunes the network, if at all."""


_BOTH: tuple[LabelMode, ...] = ("single_label", "multi_label")

METHODS: Mapping[str, MethodSpec] = {
    "auto": MethodSpec(
        AutoMethod,
        "ours",
        label_modes=_BOTH,
        ignored=("n_epochs", "batch_size", "learning_rate_multiplier"),
    ),
    "partial": MethodSpec(
        Partial,
        "Kumar et al. 2022; Wortsman et al. 2022",
        modalities=("image",),
        depth="partial",
    ),
    "lora": MethodSpec(Lora, "Hu et al. 2021; Wortsman et al. 2022", depth="lora"),
    "full": MethodSpec(Full, "Kumar et al. 2022; Wortsman et al. 2022", depth="full"),
    "linear": MethodSpec(Linear, "textbook"),
    "logistic": MethodSpec(Logistic, "Cox 1958", label_modes=_BOTH),
    "ridge": MethodSpec(Ridge, "Hoerl & Kennard 1970", label_modes=_BOTH),
    "lda": MethodSpec(Lda, "Fisher 1936; Friedman 1989"),
    "prototypical": MethodSpec(Prototypical, "Snell et al. 2017"),
    "matching": MethodSpec(Matching, "Vinyals et al. 2016", not_exported=frozenset({"torch"})),
    "reptile": MethodSpec(Reptile, "Nichol et al. 2018", other_datasets=True),
}

ALIASES: Mapping[str, str] = {"supervised": "auto"}
"""Names that OpenAI's clients send, and what they mean here."""


def method_name(name: str) -> str:
    """The method that `name` means; raises HeadstartError `unknown_method`."""
    known = ALIASES.get(name, name)
    if known not in METHODS:
        choice = ", ".join(METHODS)
        raise HeadstartError(
            "unknown_method", f"There is no method {name!r}; choose of {choice}.", param="method"
        )
    return known


def check_modality(method: str, modality: str) -> None:
    """Raises modality_mismatch where the method does not read it."""
    known = METHODS[method].modalities
    if modality not in known:
        said = f"The method {method} reads {' and '.join(known)}, not {modality}."
        raise HeadstartError("modality_mismatch", said, param="method")


def check_tunable(method: str, backbone: BackboneSpec) -> None:
    """Raises cut_unavailable where the method tunes the network and this one has no part to tune:
    of several backbones none is the model's own, and a graph file cannot be trained.
    """
    depth = METHODS[method].depth
    if depth is not None and depth not in backbone.depths:
        why = "several backbones side by side" if backbone.members else "a graph file"
        said = f"The method {method} tunes one network, and {backbone.name} is {why}."
        raise HeadstartError("cut_unavailable", said, param="model")


def check_label_mode(method: str, mode: str, chosen: Mapping[str, Any]) -> None:
    """Raises label_mode_mismatch where the method fits no such heads, and
    invalid_hyperparameter for what means nothing to heads against the rest.
    """
    if mode not in METHODS[method].label_modes:
        able = [name for name, spec in METHODS.items() if mode in spec.label_modes]
        why = f"The method {method} fits one label an example; of several, {', '.join(able)} do."
        raise HeadstartError("label_mode_mismatch", why, param="method")
    idle = [
        name
        for name, values in (("class_balance", ("balanced",)), ("label_names", (True, "alone")))
        if mode == "multi_label" and chosen.get(name, "auto") in values
    ]
    if idle:
        why = f"{idle[0]}: heads against the rest have no use for it"
        where = f"method.{method}.hyperparameters.{idle[0]}"
        raise HeadstartError("invalid_hyperparameter", why, param=where)


def validate(
    method: str,
    given: Mapping[str, Any] | None = None,
    inherited: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All hyperparameters of `method` as JSON; what is not given is inherited, or its default.

    `given` may have other names for them, `inherited` are called as in a former answer.

    Raises HeadstartError unknown_method | invalid_hyperparameter, `param` naming the field.
    """
    schema = METHODS[method_name(method)].schema
    try:
        asked = schema.model_validate(dict(given or {})).model_dump(exclude_unset=True)
        return schema.model_validate({**(inherited or {}), **asked}).model_dump(mode="json")
    except ValidationError as error:
        raise _invalid(method, error) from None


def shared(one: str, other: str) -> set[str]:
    """The hyperparameters that mean the same to both methods: those of the schema both build on.

    Others may share a name alone: the `l2` of ridge is not on the scale of logistic's.
    """
    first, second = METHODS[one].schema, METHODS[other].schema
    bases = (base for base in first.mro() if issubclass(base, Hyperparameters))
    return set(next(base for base in bases if issubclass(second, base)).model_fields)


def askable(method: str, used: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `used` that could be asked for as they are; the rest a fit only tells."""
    return {name: value for name, value in used.items() if _accepts(method, name, value)}


def _accepts(method: str, name: str, value: Any) -> bool:
    try:
        validate(method, {name: value})
    except HeadstartError:
        return False
    return True


def _invalid(method: str, error: ValidationError) -> HeadstartError:
    """The first error, except that a union's "must be 'auto'" yields to what a number must be."""
    errors = error.errors(include_url=False, include_context=False)
    field = str(errors[0]["loc"][0]) if errors[0]["loc"] else "hyperparameters"
    of_field = [e for e in errors if e["loc"][:1] == (field,)] or errors
    said = next((e for e in of_field if e["type"] != "literal_error"), of_field[-1])["msg"]
    return HeadstartError(
        "invalid_hyperparameter",
        f"{field}: {said}",
        param=f"method.{method}.hyperparameters.{field}",
    )


def catalogue() -> list[dict[str, Any]]:
    """Every method with its JSON Schema, as /v1/methods shows it."""
    return [
        {
            "id": name,
            "object": "method",
            "description": (method.schema.__doc__ or "").strip(),
            "source": method.source,
            "modalities": list(method.modalities),
            "label_modes": list(method.label_modes),
            "hyperparameters": method.schema.model_json_schema(),
        }
        for name, method in METHODS.items()
    ]
