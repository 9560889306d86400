"""The intake: an upload, hostile until checked, becomes one pack and a list of examples."""

from app.uploads.intake.build import build
from app.uploads.intake.built import Built
from app.uploads.intake.limits import IntakeOptions, Limits

__all__ = ["Built", "IntakeOptions", "Limits", "build"]
