"""What of a conversation is classified: the user's last turn, as the training files have it.

That is what the user has said since the assistant last spoke, its texts joined by line breaks.
System and developer messages are instructions to a model that writes; a classifier reads none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import HeadstartError
from app.core.manifest import Modality
from app.core.messages import Input
from app.core.modalities import MODALITIES
from app.core.openai.inputs import image_bytes, text_bytes

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_NOT_A_TURN = frozenset({"reasoning", "function_call", "function_call_output", "item_reference"})
"""Items of a response's input that nobody says."""


@dataclass(frozen=True)
class Turn:
    """The texts and the pictures' URLs of one turn; `param` names the messages in the request."""

    param: str
    texts: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def input(self, modality: Modality) -> Input:
        """The turn as a model of `modality` reads it: all its texts, or its one picture.

        Raises modality_mismatch, invalid_request.
        """
        if MODALITIES[modality].in_tables:
            return self._text()
        if len(self.images) != 1:
            why = f"the model reads one picture, the user's last turn has {len(self.images)}"
            raise HeadstartError("invalid_request", f"{self.param}: {why}", param=self.param)
        return image_bytes(inline(self.images[0], self.param))

    def _text(self) -> Input:
        if self.images:
            why = "the model reads texts, and the user's last turn has a picture"
            raise HeadstartError("modality_mismatch", why, param=self.param)
        return text_bytes("\n".join(self.texts))


def last_turn(messages: Sequence[Any], *, param: str) -> Turn:
    """What the user said last. Raises invalid_request where there is nothing of the kind."""
    said: list[tuple[int, Mapping[str, Any]]] = []
    for place, message in enumerate(messages):
        role = _role(message, f"{param}.{place}")
        if role == "assistant" and place < len(messages) - 1:
            said = []
        elif role == "user":
            said.append((place, message))
    if not said:
        why = f"{param}: the last turn is to be classified, and no user says anything in it"
        raise HeadstartError("invalid_request", why, param=param)
    turn = Turn(param)
    for place, message in said:
        _add(turn, message.get("content"), f"{param}.{place}.content")
    return turn


def _role(message: Any, param: str) -> str:
    if not isinstance(message, Mapping):
        raise _bad(param, "a message is an object with `role` and `content`")
    if str(message.get("type")) in _NOT_A_TURN:
        return "none"
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _bad(f"{param}.role", f"it is one of {', '.join(sorted(_ROLES))}")
    return role


def _add(turn: Turn, content: Any, param: str) -> None:
    """Put a message's content into the turn: a text, or a list of parts."""
    if isinstance(content, str):
        turn.texts.append(content)
    elif isinstance(content, list) and content:
        for kind, value in _parts(content, param):
            (turn.texts if kind == "text" else turn.images).append(value)
    else:
        raise _bad(param, "it is a text, or a list of parts")


def _parts(content: Sequence[Any], param: str) -> Iterator[tuple[Modality, str]]:
    for place, part in enumerate(content):
        where = f"{param}.{place}"
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("text", "input_text") and isinstance(part.get("text"), str):
            yield "text", part["text"]
        elif kind in ("image_url", "input_image"):
            yield "image", _url(part.get("image_url"), where)
        else:
            known = "text, input_text, image_url or input_image"
            raise _bad(where, f"a part is of the type {known}, with what belongs to it")


def _url(told: Any, param: str) -> str:
    url = told.get("url") if isinstance(told, Mapping) else told
    if not isinstance(url, str):
        raise _bad(f"{param}.image_url", "a picture comes in it, as a data: URL")
    return url


def inline(url: str, param: str) -> str:
    """The URL, if the picture is in it. Raises invalid_request."""
    if not url.startswith("data:"):
        why = "a picture comes as a data: URL; nothing is fetched from other addresses"
        raise HeadstartError("invalid_request", f"{param}: {why}", param=f"{param}.image_url")
    return url


def _bad(param: str, why: str) -> HeadstartError:
    return HeadstartError("invalid_request", f"{param}: {why}", param=param)
