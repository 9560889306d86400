"""A job's method in the forms that people write, as the one form that is read.

`{"type": "linear", "linear": {"hyperparameters": {"epochs": 3}}}` is OpenAI's. The same without one
of its layers can mean nothing else, and is read as it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.hyperparameters import ALIASES, METHODS

_OPTIONS = ("hyperparameters", "from_model")
_NAMES = frozenset([*METHODS, *ALIASES])


def as_meant(given: object) -> object:
    """The method with its options in the member of its name; what is no such form as it is.

    Raises ValueError where it cannot be told what is meant.
    """
    if isinstance(given, str):
        return {"type": given}
    if not isinstance(given, dict):
        return given
    named = [name for name in given if name in _NAMES]
    told = dict(given)
    if "type" not in told and len(named) == 1:
        told["type"] = named[0]
    kind = told.get("type")
    if not isinstance(kind, str) or kind not in _NAMES:
        return told
    return _gathered(kind, told)


def _gathered(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The form whose options may stand beside the name, in its member, or in both a part."""
    beside = {name: value for name, value in told.items() if name in (*_OPTIONS, *fields(kind))}
    rest = {name: value for name, value in told.items() if name not in beside}
    inner = rest.get(kind)
    if inner is not None and not isinstance(inner, dict):
        raise ValueError(f"{kind}: {_where(kind)}")
    options = _nested(kind, beside)
    for name, value in _nested(kind, inner or {}).items():
        if name in options:
            raise ValueError(f"{name} stands twice: {_where(kind)}")
        options[name] = value
    return {**rest, kind: options} if options else rest


def _nested(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, hyperparameters that stand among them put where they belong."""
    flat = {name: value for name, value in given.items() if name in fields(kind)}
    told = {name: value for name, value in given.items() if name not in flat}
    if not flat:
        return told
    if told.get("hyperparameters"):
        raise ValueError(f"{next(iter(flat))}: {_where(kind)}")
    return {**told, "hyperparameters": flat}


def fields(kind: str) -> frozenset[str]:
    """The names of a method's hyperparameters, other spellings too."""
    schema = METHODS[ALIASES.get(kind, kind)].schema
    spelled = (getattr(one.validation_alias, "choices", ()) for one in schema.model_fields.values())
    return frozenset([*schema.model_fields, *(str(name) for some in spelled for name in some)])


def _where(kind: str) -> str:
    example = f'{{"type": "{kind}", "{kind}": {{"hyperparameters": {{…}}}}}}'
    return f"hyperparameters go into method.{kind}.hyperparameters, as in {example}"
