"""OpenVINO itself, imported so that it does not report home."""

from __future__ import annotations

import sys
from typing import Any, cast

cast(dict[str, Any], sys.modules).setdefault("openvino_telemetry", None)
# Importing openvino sends an event and writes into the home folder unless this package is missing.

import openvino as ov  # noqa: E402

__all__ = ["ov"]
