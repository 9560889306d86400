"""What an evaluation says would help."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

ADVICE: dict[str, Any] = {
    "learning_curve": None,
    "more_of_all": {
        "add": 25,
        "gain": 0.012,
        "plus_minus": 0.008,
        "low": -0.0076,
        "high": 0.0316,
        "message": "25 more of every class should bring +1.2 ± 0.8 points of accuracy",
    },
    "more_examples": [],
    "confused": [
        {
            "labels": ["RBC", "WBC"],
            "count": 2,
            "share": 0.04,
            "message": "`RBC` and `WBC`: 2 of 50 taken for one another",
        }
    ],
    "probably_mislabelled": [
        {
            "example_id": "ex_9f2c1f7a4b0d6e8c3a5b7d9f",
            "label": "RBC",
            "suggested": "WBC",
            "probability": 0.93,
            "out_of_fold_probability": 0.004,
            "neighbours": {"of": 8, "label": 0, "suggested": 7},
            "reason": "fits that had not seen it leave 0.4% for `RBC`; of the 8 examples most like "
            "it 0 are `RBC` and 7 `WBC`",
        }
    ],
    "near_copies": None,
    "near_duplicates": [],
}


class Advice(BaseModel):
    """What would help. Lists go from the most to the least important, and may be empty."""

    model_config = ConfigDict(extra="allow")

    learning_curve: dict[str, Any] | None = Field(
        None,
        description="`points`: accuracy measured with fewer examples a class; `forecast`: with "
        "more, both with intervals; `exponent`: of the power law behind it. Null where too few "
        "examples tell.",
    )
    more_of_all: dict[str, Any] | None = Field(
        None,
        description="What `add` more examples of every class should bring to the accuracy: `gain`, "
        "`plus_minus` (68%), its 95% interval `low` to `high`, and the first two as a `message`.",
    )
    more_examples: list[dict[str, Any]] = Field(
        [],
        description="What `add` more examples of the class `label` should bring to its F1: `gain`, "
        "`plus_minus`, `message`.",
    )
    confused: list[dict[str, Any]] = Field(
        [],
        description="Pairs of classes (`labels`) taken for one another among the training "
        "examples, each judged by a fit that had not seen it: `count`, its `share` of their "
        "examples, `message`. Where the figures are of held-out examples, `confusion_matrix` "
        "counts those.",
    )
    probably_mislabelled: list[dict[str, Any]] = Field(
        [],
        description="`example_id`, the `label` it has, the one `suggested`, and the `probability` "
        "that the label is wrong, of a set in which one in ten or twenty is, heeding how often the "
        "fit is wrong itself: where none is, a few are named all the same; the `reason` in words, "
        "and what it is made of: "
        "`out_of_fold_probability` of the label by fits that had not seen the example, and of "
        "`neighbours`, the examples most like it, how many have the `label` and the `suggested` "
        "one. Most doubtful first, at most 200.",
    )
    near_copies: dict[str, Any] | None = Field(
        None,
        description="Training examples much like another of their class outside their group, "
        "which make the figures too hopeful: `count`, `of` how many, `pairs`, `message`; "
        "`contradicting`: how many (`count`) of the `errors` out of fold are near copies under "
        "another label.",
    )
    near_duplicates: list[dict[str, Any]] = Field(
        [],
        description="Pairs (`example_ids`) from different `splits` that are almost the same, with "
        "their `cosine`.",
    )
