"""What every table shares: its metadata and the types of its columns."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Float, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase

BigId = BigInteger().with_variant(Integer, "sqlite")


def sealed(length: int) -> String:
    """A secret's column; sealed it is longer than `length`, which SQLite does not hold it to."""
    return String(length).with_variant(Text(), "postgresql")


class Base(DeclarativeBase):
    """The metadata that migrations build."""

    type_annotation_map: ClassVar = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        float: Float(53),
        int: BigInteger,
    }
