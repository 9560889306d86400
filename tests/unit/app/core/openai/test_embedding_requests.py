"""What embeddings are asked of: texts, and no tokens of another model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.core.openai.embeddings import EmbeddingRequest


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2, 3]], [[1], [2]]])
def test_tokens_are_told_to_be_sent_as_texts(given: Any) -> None:
    with pytest.raises(ValidationError, match="check_embedding_ctx_length=False") as caught:
        EmbeddingRequest(model="m", input=given)
    assert [error["loc"] for error in caught.value.errors()] == [("input",)]


@pytest.mark.parametrize("given", ["a", ["a", "b"], []])
def test_texts_are_taken(given: Any) -> None:
    assert EmbeddingRequest(model="m", input=given).input == given
