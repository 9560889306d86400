"""A request of which only some members matter to a classifier; OpenAI adds others every month."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


class LenientRequest(BaseModel):
    """What is not known is let pass, unless it looks like a misspelt member that matters.

    How to sample, how long to think and where to store means nothing to who picks the most
    probable class.
    """

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _spelt_right(cls, given: Any) -> Any:
        known = cls.model_fields
        for name in given if isinstance(given, dict) else ():
            if name in _SHAPING and given[name] is not None:
                raise ValueError(f"{name}: it is not read; ask for a form by response_format")
            meant = get_close_matches(str(name), known, 1, 0.85) if name not in known else []
            if meant and name not in _OTHERS:
                raise ValueError(f"{name}: there is no such member; did you mean {meant[0]}?")
        return given

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Hook for what several members say together."""
        self.check()
        return self

    def check(self) -> None:
        """Raise ValueError where members contradict each other."""


_SHAPING = frozenset(
    {"guided_choice", "guided_json", "guided_regex", "guided_grammar", "structured_outputs"}
    | {"grammar", "json_schema"}
)
"""What other services hold an answer to a form by: let pass, they would be broken silently."""
_OTHERS = frozenset({"models"})
"""Members that other services know, and that look like one of these."""
