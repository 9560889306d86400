"""OpenAI's fine-tuning rows: the user's last turn is the example, the assistant's answer its label.

As `/v1/chat/completions` reads a conversation, so that a model is asked as it was taught.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.errors import HeadstartError
from app.core.openai.inputs import image_bytes
from app.core.openai.turns import Turn, inline, last_turn
from app.uploads.intake.rows import SET_ASIDE, InlinePicture, Row, SpokenAnswer
from app.uploads.intake.tables.source import TableFile

FORM = "read are a user's words, or one picture, and then the assistant's label"

BESIDE = ("group", "split", SET_ASIDE)
"""What is said of a row beside its conversation."""


def read(rows: Iterator[Row], table: TableFile) -> Iterator[Row]:
    """The rows, of conversations the text or the picture and the label; other rows as they are.

    Raises schema_mismatch and invalid_value.
    """
    earlier, beside = 0, set[str]()
    for row in rows:
        if "messages" not in row.values:
            yield row
            continue
        turn, answers = _turn(row, table)
        earlier += len(answers) > 1
        values: dict[str, Any] = {}
        if answers and table.labelled:
            values["label"] = None if row.values.get("weight") == 0 else _answer(row, answers[-1])
        if turn.images:
            values["image"] = _picture(row, turn)
            beside.update(["\n".join(turn.texts)] if len(beside) < 2 else [])
        else:
            values["text"] = "\n".join(turn.texts)
        kept = {name: row.values[name] for name in BESIDE if name in row.values}
        yield Row(row.table, row.number, {**kept, **values})
    _tell(table, earlier=earlier, beside=beside)


def _tell(table: TableFile, *, earlier: int, beside: set[str]) -> None:
    if earlier:
        said = f"of {earlier} conversation(s) with several turns the last one is read"
        table.warn("column_unread", f"{said}: what was said before is not")
    if len(beside) > 1:
        said = "what users say beside their pictures differs, and is not read"
        table.warn("column_unread", f"{said}: a model of pictures sees the picture alone")


def _turn(row: Row, table: TableFile) -> tuple[Turn, list[Mapping[str, Any]]]:
    """What the user said last, and all answers of the assistant."""
    messages = row.values["messages"]
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise row.error("schema_mismatch", "`messages` is not a list of objects")
    answers = [one for one in messages if one.get("role") == "assistant"]
    roles = [one.get("role") for one in messages if one.get("role") in ("user", "assistant")]
    if "user" not in roles:
        raise row.error("schema_mismatch", f"no user says anything in `messages`: {FORM}")
    try:
        turn = last_turn(messages, param="messages")
    except HeadstartError as error:
        raise row.error("invalid_value", error.message) from error
    if table.labelled and roles[-1] != "assistant":
        raise row.error("schema_mismatch", f"`messages` does not end with an answer: {FORM}")
    return turn, answers


def _answer(row: Row, message: Mapping[str, Any]) -> SpokenAnswer | None:
    """The label; None of an answer that is not to be learned from, by its weight."""
    if message.get("weight") == 0:
        return None
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [one.get("text") if isinstance(one, dict) else None for one in parts]
    if message.get("tool_calls") or message.get("function_call"):
        raise row.error("invalid_value", f"the answer is a call of a tool: {FORM} as `content`")
    if not texts or not all(isinstance(one, str) for one in texts):
        raise row.error("invalid_value", f"the answer's `content` is not text: {FORM}")
    return SpokenAnswer("\n".join(map(str, texts)).strip())


def _picture(row: Row, turn: Turn) -> InlinePicture:
    if len(turn.images) > 1:
        raise row.error("invalid_value", f"it has {len(turn.images)} pictures: {FORM}")
    try:
        told = image_bytes(inline(turn.images[0], "messages"))
    except HeadstartError as error:
        raise row.error("invalid_value", error.message) from error
    if told.kind != "image":
        raise row.error("invalid_value", "its picture is no base64")
    return InlinePicture(bytes(told.data))
