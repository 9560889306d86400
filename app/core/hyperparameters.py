"""One schema a method: which hyperparameters there are, their ranges, and "auto"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from app.core.backbones import BackboneSpec
from app.core.errors import HeadstartError
from app.core.manifest import LabelMode, Modality
from app.core.methods.schemas import (
    AutoMethod,
    Full,
    Hyperparameters,
    Lda,
    Linear,
    Logistic,
    Lora,
    Matching,
    Partial,
    Prototypical,
    Reptile,
    Ridge,
    SetFit,
)
from app.core.modalities import Depth, TuningMethod


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
    contrastive: bool = False
    """Whether it tunes it by which examples have the same label."""


_BOTH: tuple[LabelMode, ...] = ("single_label", "multi_label")
_OF_ONE_LABEL: Mapping[str, tuple[Any, ...]] = {
    "class_balance": ("balanced",),
    "label_names": (True, "alone"),
    "depth": ("auto",),
}
"""What means nothing to heads against the rest."""

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
    "setfit": MethodSpec(
        SetFit,
        "Tunstall et al. 2022; Wortsman et al. 2022",
        modalities=("text",),
        depth="lora",
        contrastive=True,
    ),
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


def check_known(method: str, chosen: Mapping[str, Any]) -> None:
    """Raises unknown_method for what was asked of a later release: a method that is not here, or
    hyperparameters that it does not have here.
    """
    schema = METHODS[method_name(method)].schema
    if later := sorted(set(chosen) - set(schema.model_fields)):
        why = f"The method {method} has no {later[0]} in this release."
        raise HeadstartError("unknown_method", why, param="method")


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


def tuned_by(backbone: BackboneSpec) -> list[TuningMethod]:
    """The methods that tune the network itself of this one."""
    known = [(name, METHODS[name]) for name in get_args(TuningMethod)]
    return [
        name
        for name, spec in known
        if spec.depth in backbone.depths and backbone.modality in spec.modalities
    ]


def tries_deeper(chosen: Mapping[str, Any]) -> bool:
    """Whether a job with these hyperparameters tunes the network where that pays."""
    return chosen.get("depth") == "auto"


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
        for name, values in _OF_ONE_LABEL.items()
        if mode == "multi_label" and chosen.get(name) in values
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
