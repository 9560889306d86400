"""The intake: an upload, hostile until checked, becomes one pack and a list of examples."""

from app.datasets.intake.build import Built, build
from app.datasets.intake.limits import Limits, Options

__all__ = ["Built", "Limits", "Options", "build"]
