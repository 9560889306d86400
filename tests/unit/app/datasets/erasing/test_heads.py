"""What a card says of single examples, and models that have learned from them."""

from __future__ import annotations

from app.datasets.erasing.heads import without


def test_lists_lose_what_names_an_example() -> None:
    card = {
        "config": {"exemplar_ids": ["ex_1", "ex_2"], "classes": ["a", "b"]},
        "advice": {
            "near_copies": {
                "count": 2,
                "pairs": [{"example_ids": ["ex_1", "ex_3"], "cosine": 1.0}],
            },
            "probably_mislabelled": [{"example_id": "ex_1"}, {"example_id": "ex_2"}],
        },
        "evaluation": {"confusion_matrix": {"counts": [[1, 2], [3, 4]]}},
    }
    assert without(card, {"ex_1"}) == {
        "config": {"exemplar_ids": ["ex_2"], "classes": ["a", "b"]},
        "advice": {
            "near_copies": {"count": 2, "pairs": []},
            "probably_mislabelled": [{"example_id": "ex_2"}],
        },
        "evaluation": {"confusion_matrix": {"counts": [[1, 2], [3, 4]]}},
    }
    assert without(card, {"ex_9"}) == card
