"""What an evaluation says of the fit itself: what was tried, and why it was or was not taken."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.core.modalities import TuningMethod
from app.http.schemas import Interval


class TunedLosses(BaseModel):
    """Mean log losses out of fold, of the frozen heads and of the best blend with the tuned."""

    frozen: float
    tuned: float
    gain: Interval = Field(description="The first less the second, example by example.")


class DeeperTry(BaseModel):
    """What came of tuning the network beside the frozen heads."""

    tried: TuningMethod | None = Field(description="Null: nothing was.")
    taken: bool = Field(description="Whether the model has a tuned network.")
    why: str = Field(description="Why it was or was not taken, or tried.")
    seconds: float | None = Field(None, description="What it cost, killed tries included.")
    max_seconds: float | None = Field(None, description="What it was allowed, with `depth` auto.")
    cut_short: bool | None = Field(None, description="Whether a training ended for want of time.")
    log_loss: TunedLosses | None = Field(None, description="Where it was tried to the end.")


class MirrorLosses(BaseModel):
    """Log losses of unseen examples and of their mirror images."""

    original: float
    mirrored: float
    difference: Interval = Field(description="By how much mirror images are the worse.")


class MirrorImages(BaseModel):
    """Whether a mirror leaves the examples what they are."""

    learned_from: bool
    why: str = Field(description="Why the fit learned from them or did not.")
    examples: int | None = Field(None, description="How many were judged in a mirror.")
    log_loss: MirrorLosses | None = Field(
        None, description="By heads on the examples as they are, out of fold; null where none tell."
    )
