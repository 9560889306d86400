"""How a request wants its predictions: query parameters and the cache header."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import Field, TypeAdapter, ValidationError

from app.core.errors import HeadstartError
from app.core.json_objects import DoubledNameError, check_names
from app.core.manifest import Modality
from app.core.messages import Options
from app.core.modalities import MODALITIES
from app.http.routes import pairs_once, refuse_unknown, unknown
from app.http.waiting import asked_wait

MAX_SALIENCY = 8
"""A map costs some forty forward passes."""
QUERIES = frozenset({"explain", "threshold", "thresholds", "timeout", "top_k", "unknown"})
_HARMLESS = frozenset(
    {"binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout"}
    | {"content_type", "headers", "id", "request_id"}
)
"""What Triton's, KServe's and MLServer's clients say of a request that changes no answer here."""
_RESERVED = "triton_"
"""How parameters begin that a server of theirs keeps for itself."""
_LEVELS = TypeAdapter(dict[str, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]])
_EXPLANATIONS = frozenset({"neighbours", "saliency"})
_DEFAULT = Options()
_UNCACHED = Options(cache=False)
T = TypeVar("T", int, float)


def read_options(query_string: str, cache_header: str) -> Options:
    """The options. Raises invalid_request, naming the parameter."""
    if not query_string:
        return _DEFAULT if cached(cache_header) else _UNCACHED
    query = pairs_once(parse_qsl(query_string, keep_blank_values=True))
    refuse_unknown(query, QUERIES)
    return options_of(query, cached(cache_header))


def cached(cache_header: str) -> bool:
    """Whether what was computed before may be the answer."""
    return cache_header.strip().lower() != "off"


def preferring(options: Options, prefer: str) -> Options:
    """The options with the wait of `Prefer: wait=N` (RFC 7240), their timeout at most."""
    seconds = asked_wait(prefer) if prefer else None
    return options if seconds is None else replace(options, wait=min(seconds, options.timeout))


def options_of(query: Mapping[str, str], cache: bool) -> Options:
    """The options, as their texts say them. Raises invalid_request, naming the parameter."""
    return Options(
        top_k=_number(query, "top_k", int, lambda value: 1 <= value <= 100_000),
        threshold=_number(query, "unknown", float, lambda value: 0 <= value <= 1),
        level=_number(query, "threshold", float, lambda value: 0 <= value <= 1),
        levels=levels_of(query.get("thresholds")),
        cache=cache,
        explain=_explanations(query.get("explain", "")),
        timeout=_number(query, "timeout", float, lambda value: 0 < value <= 300)
        or _DEFAULT.timeout,
    )


def refuse_members(given: Collection[str], known: frozenset[str]) -> None:
    """Raise invalid_request for a member of a body that nobody reads: a slip is no wish."""
    for name in given:
        if name not in known:
            raise _elsewhere(name, name) if name in QUERIES else unknown(name, known, what="field")


def refuse_parameters(given: Any, read: frozenset[str] = frozenset()) -> None:
    """Raise invalid_request for `parameters` of other protocols that are not `read` and may be
    meant to change the answer."""
    if not isinstance(given, dict | None):
        raise HeadstartError("invalid_request", "parameters is an object", param="parameters")
    for name in given or ():
        if name in read or name in _HARMLESS or name.startswith(_RESERVED):
            continue
        param = f"parameters.{name[:100]}"
        if name in QUERIES:
            raise _elsewhere(name, param)
        why = unknown(name, read or QUERIES, what="parameter").message
        raise HeadstartError("invalid_request", why, param=param)


def _elsewhere(name: str, param: str) -> HeadstartError:
    why = (
        f"{name} is read in the query, as POST /v1/models/{{model}}/predictions?{name}=…, not here"
    )
    return HeadstartError("invalid_request", why, param=param)


def levels_of(told: str | None) -> Mapping[str, float]:
    """Thresholds by label from a JSON object. Raises invalid_request."""
    if told is None:
        return {}
    try:
        check_names(told)
        return _LEVELS.validate_json(told)
    except DoubledNameError as error:
        raise HeadstartError("invalid_request", f"thresholds: {error}", param="thresholds") from (
            error
        )
    except ValidationError as error:
        why = 'thresholds is a JSON object of labels and numbers from 0 to 1, as {"crack": 0.3}'
        raise HeadstartError("invalid_request", why, param="thresholds") from error


def check_explainable(options: Options, modality: Modality, count: int) -> None:
    """Raise invalid_request where a saliency map is asked for a text, or for too many inputs."""
    if "saliency" not in options.explain:
        return
    if why := MODALITIES[modality].saliency:
        raise HeadstartError("invalid_request", why, param="explain")
    if count > MAX_SALIENCY:
        raise HeadstartError(
            "invalid_request", f"at most {MAX_SALIENCY} saliency maps a request", param="explain"
        )


def _number(
    query: Mapping[str, str], name: str, kind: type[T], fits: Callable[[T], bool]
) -> T | None:
    """A number that `fits`, which NaN never does. Raises invalid_request."""
    if name not in query:
        return None
    try:
        value: T | None = kind(query[name])
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise HeadstartError("invalid_request", f"{name} is out of its range", param=name)
    return value


def _explanations(text: str) -> tuple[str, ...]:
    names = tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))
    if not set(names) <= _EXPLANATIONS:
        raise HeadstartError(
            "invalid_request", "explain is neighbours, saliency, or both", param="explain"
        )
    return names
