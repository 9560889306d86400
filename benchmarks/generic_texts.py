"""Texts about nothing in particular in many languages, written for this; each ends with the first
sentence of the Universal Declaration of Human Rights, which is everybody's.
"""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("generic_texts.txt")


def by_language() -> dict[str, list[str]]:
    """The sentences of each language, by its ISO 639-1 code."""
    found: dict[str, list[str]] = {}
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("# "):
            own = found.setdefault(line[2:], [])
        elif line:
            own.append(line)
    return found
