"""Lists: `?after=<last item's id>&limit=` and `{"object": "list", "data": […], "has_more": …}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel

Item = TypeVar("Item")
Row = TypeVar("Row")

Limit = Annotated[int, Query(ge=1, le=100, description="How many items at most.")]


def cursor(prefix: str, *, rest: str = "[0-9a-z]{26}", example: str | None = None) -> Any:
    """The declaration of `after` in a list whose ids are `prefix` and what `rest` matches."""
    return Query(
        max_length=200,
        pattern=f"^{prefix}{rest}$",
        description="The id of the last item of the page before.",
        examples=[example] if example else None,
    )


Order = Literal["asc", "desc"]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool


def page(rows: Sequence[Row], limit: int, show: Callable[[Row], Item]) -> Page[Item]:
    """The page of `limit` items out of up to `limit` + 1 rows; the extra one says there is more."""
    return Page(data=[show(row) for row in rows[:limit]], has_more=len(rows) > limit)


def looks_like(text: str, prefix: str) -> bool:
    """Whether `new_id(prefix)` could have made `text`; what could not is in no table."""
    return re.fullmatch(re.escape(prefix) + "[0-9a-z]{26}", text) is not None
