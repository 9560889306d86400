"""What short texts from outside may hold: a pattern that the OpenAPI can state, and numbers."""

from __future__ import annotations

INVISIBLE = (
    "\\u0000-\\u001f\\u007f-\\u009f"  # control characters
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # direction marks and isolates
    "\\u2028\\u2029"  # line separators
)
PRINTABLE = f"^[^{INVISIBLE}]*[^{INVISIBLE}\\s][^{INVISIBLE}]*$"
"""Something to see, and nothing that hides or reorders it."""


def digits(text: str) -> int | None:
    """The number that 1 to 18 ASCII digits write; None for anything else, `\u00b2` included."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None
