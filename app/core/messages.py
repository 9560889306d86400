"""What the app and the predictor say to each other: one call in, the final answer's bytes back.

A call's body is `<u32 length of the JSON><JSON><input 0><input 1>…`; the JSON names each input's
kind and length, so that nothing is base64-encoded or copied on the way.

While a release is rolled out the two are of different ones. So a call carries what 0.1.0 read, and
of what came later only what was asked for; and whoever cannot read it says so: an answer that left
something out that was asked for would be wrong.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json, to_json

from app.core.errors import HeadstartError

Kind = Literal["image", "text", "error"]
_LETTERS: dict[str, Kind] = {"i": "image", "t": "text", "e": "error"}
_U32 = struct.Struct("<I")
_ARTIFACT = re.compile(r"(?!.*\.\.)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){1,7}")
"""Of what the keys of storage are made; none leaves it."""


PRECISION_HEADER = "x-headstart-precision"
"""What an answer was computed in, between app and predictor and to the caller."""
PREDICTION_HEADER = "x-headstart-prediction-id"
"""The id of an answer, which feedback on it names."""
ALIVE_HEADER = "x-headstart-alive"
"""Of a call whose caller hears that it is still worked on: by 102s, one at the first call of a
connection and one every `ALIVE_SECONDS` of a call. Earlier predictors do not know it."""
ALIVE_SECONDS = 1.0
LONGEST_RETURN = 30.0
"""Seconds: who is sent away is never told to stay away for longer."""
HEAVY = 256 * 1024
"""Bytes that weigh as much as one more input: a queue of 1024 then holds 256 MiB."""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to predict: an image's bytes, a text's UTF-8, or the error that it already is."""

    kind: Kind
    data: bytes | memoryview

    @property
    def weight(self) -> int:
        """How much of a queue's limit it takes: the limit bounds inputs and bytes alike."""
        return 1 + len(self.data) // HEAVY


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The immutable model that an id or alias meant when the request came."""

    model: str
    backbone: str
    artifact: str
    sha256: str
    alias: str = ""
    """The alias that was asked for, if it was one."""
    pinned: bool = False
    """Whether the alias keeps its head in memory, until it means another or lets go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one request is answered; `timeout` in seconds, `threshold` in 0..1.

    `tokens`: each item also says how many tokens its text and its label are. `wait`: seconds that
    the request may wait for others before it; None: as many as the predictor's settings say.
    """

    top_k: int | None = None
    threshold: float | None = None
    level: float | None = None
    """Probability from which a label is said, of all that `levels` does not name; of models that
    say several."""
    levels: Mapping[str, float] = field(default_factory=dict)
    cache: bool = True
    explain: tuple[str, ...] = ()
    timeout: float = 30.0
    wait: float | None = None
    tokens: bool = False
    score: bool = False
    """Whether each item also says its score of likeness, which `familiarity` is made of."""

    @property
    def passes_cache(self) -> bool:
        """Whether it asks for what no remembered answer has."""
        return bool(self.explain) or self.tokens or self.score

    def check_levels(self, classes: Collection[str] | None) -> None:
        """Raise invalid_request where thresholds are asked of a model that has none, its `classes`
        being None, or of a label that it does not know.
        """
        if self.level is None and not self.levels:
            return
        name = "thresholds" if self.levels else "threshold"
        if classes is None:
            why = f"{name}: the model is single_label, and says the most probable class"
            raise HeadstartError("invalid_request", why, param=name)
        unknown = sorted(set(self.levels) - set(classes))
        if unknown:
            why = f"thresholds: the model has no label {unknown[0]!r}"
            raise HeadstartError("invalid_request", why, param="thresholds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the predictor; `single` asks for an HTTP error where the one input is bad.

    `others` are asked about the same inputs, too: the answer is then a list of answers.
    """

    id: str
    tenant: str
    target: Target
    options: Options
    inputs: tuple[Input, ...]
    single: bool = False
    others: tuple[Target, ...] = ()
    turned_away: tuple[int, int] = (0, 0)
    """Calls and inputs like it that the app has refused since, as `WaitTooLongError` lets it."""


class WaitTooLongError(HeadstartError):
    """`overloaded`, as it holds for the tenant's next ones, too: for `stands` seconds, or until
    one of its calls has ended.

    It holds for who bears no more than `bears` seconds, and with `unsaid` for who says nothing of
    it. Each input is told to come back `step` seconds after the one before.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None,
        stands: float,
        bears: float,
        unsaid: bool,
        step: float,
    ) -> None:
        super().__init__("overloaded", message, retry_after=retry_after)
        self.stands, self.bears, self.unsaid, self.step = stands, bears, unsaid, step

    @property
    def told(self) -> dict[str, Any]:
        """What the hop carries of it beside the error."""
        names = ("stands", "bears", "unsaid", "step")
        return {name: getattr(self, name) for name in names}

    def holds_for(self, wait: float | None) -> bool:
        """Whether one that bears such a `wait` would be told the same."""
        return self.unsaid if wait is None else wait <= self.bears


def encode(call: Call) -> list[bytes | memoryview]:
    """The pieces of a call's body, in order."""
    meta = to_json(
        {
            "id": call.id,
            "tenant": call.tenant,
            "single": call.single,
            "target": _fields(call.target),
            "others": [_fields(target) for target in call.others],
            "options": _asked(call.options),
            "kinds": "".join(item.kind[0] for item in call.inputs),
            "lengths": [len(item.data) for item in call.inputs],
            **({"turned_away": call.turned_away} if call.turned_away[0] else {}),
        }
    )
    return [_U32.pack(len(meta)), meta, *(item.data for item in call.inputs)]


def decode(body: bytes) -> Call:
    """The call in `body`; its inputs are views of it. Raises bad_request."""
    try:
        (length,) = _U32.unpack_from(body)
        meta = from_json(body[4 : 4 + length])
        if not _MEMBERS.issuperset(meta):
            raise ValueError("it asks for what this release does not know")
        return Call(
            id=meta["id"],
            tenant=meta["tenant"],
            single=meta["single"],
            target=_target(meta["target"]),
            options=_options(meta["options"]),
            inputs=_inputs(memoryview(body)[4 + length :], meta["kinds"], meta["lengths"]),
            others=tuple(map(_target, meta.get("others", ()))),
            turned_away=tuple(meta.get("turned_away", (0, 0))),
        )
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise HeadstartError("bad_request", "the predictor cannot read this call") from error


def error_body(error: HeadstartError) -> dict[str, Any]:
    """An error as an item of an answer or as the predictor's own answer carries it."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.param is not None:
        body["param"] = error.param
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    if isinstance(error, WaitTooLongError):
        body["holds"] = error.told
    return body


def read_error(body: bytes) -> HeadstartError:
    """The error that the predictor answered with."""
    try:
        fields = from_json(body)
        if "holds" in fields:
            return WaitTooLongError(
                fields["message"], retry_after=fields.get("retry_after"), **fields["holds"]
            )
        return HeadstartError(
            fields["code"],
            fields["message"],
            param=fields.get("param"),
            retry_after=fields.get("retry_after"),
        )
    except (ValueError, KeyError, TypeError):
        return HeadstartError("predictor_unavailable", "the predictor answered nonsense")


def failed(error: HeadstartError) -> Input:
    """An input that is an error already, kept in its place among the others."""
    return Input("error", to_json(error_body(error)))


_FIRST_OPTIONS = ("top_k", "threshold", "cache", "explain", "timeout")
_PLAIN_OPTIONS = {
    name: getattr(Options(), name) for name in Options.__slots__ if name not in _FIRST_OPTIONS
}
"""The options that came after 0.1.0, and what they are where nothing is asked of them."""
_MEMBERS = {
    *("id", "tenant", "single", "target", "others", "options", "kinds", "lengths"),
    "turned_away",
}


def _asked(options: Options) -> dict[str, Any]:
    """Every option of 0.1.0, and of the later ones those that ask for something."""
    told = {name: getattr(options, name) for name in Options.__slots__}
    for name, plain in _PLAIN_OPTIONS.items():
        if told[name] == plain:
            del told[name]
    return told


def _fields(target: Target) -> dict[str, Any]:
    return {name: getattr(target, name) for name in Target.__slots__}


def _target(fields: dict[str, Any]) -> Target:
    target = Target(**fields)
    if target.artifact and not _ARTIFACT.fullmatch(target.artifact):
        raise ValueError("this is no model's folder")
    return target


def _options(fields: dict[str, Any]) -> Options:
    return Options(**{**fields, "explain": tuple(fields["explain"])})


def _inputs(data: memoryview, kinds: str, lengths: Sequence[int]) -> tuple[Input, ...]:
    if len(kinds) != len(lengths) or sum(lengths) != len(data):
        raise ValueError("lengths do not add up")
    inputs, start = [], 0
    for letter, length in zip(kinds, lengths, strict=True):
        inputs.append(Input(_LETTERS[letter], data[start : start + length]))
        start += length
    return tuple(inputs)
