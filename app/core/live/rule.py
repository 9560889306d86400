"""What of an alias's predictions is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE: dict[str, Any] = {"rate": 0.2, "retention_days": 30, "content": "keep"}
DAY_SECONDS = 86_400.0


class PredictionLog(BaseModel):
    """What of an alias's predictions is written down, and for how long."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [_EXAMPLE]}
    )

    rate: float = Field(
        1.0, ge=0, le=1, description="What part of the requests, drawn at random. 0 is a pause."
    )
    retention_days: float = Field(
        30.0, gt=0, le=3650, description="After so long what was written down is deleted."
    )
    content: Literal["keep", "hash"] = Field(
        "keep", description="`hash`: of the inputs only their SHA-256 and embedding are kept."
    )
    reference: int = Field(
        200, ge=50, le=1000, description="How many first inputs drift is measured against."
    )
    window: int = Field(100, ge=25, le=1000, description="After how many more it is measured.")

    @property
    def keeps_content(self) -> bool:
        """Whether the inputs themselves are kept."""
        return self.content == "keep"


@dataclass(frozen=True, slots=True)
class CurrentLog:
    """A log that is on: which one, and its rule. One that ended is none that began later."""

    id: str | None
    rule: PredictionLog
