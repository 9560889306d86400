"""What tasks show, as inputs: texts and pictures themselves, or what their addresses lead to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from anyio import to_thread

from app.compat.label_studio.config import ChoiceConfig, shown
from app.compat.label_studio.studio import Studio
from app.core.errors import HeadstartError
from app.core.messages import Input, failed
from app.core.modalities import MODALITIES
from app.core.openai.inputs import READ
from app.infra.repositories.targets import ResolvedModel

_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_FILES_AT_ONCE = 8


async def inputs_of(
    tasks: Sequence[dict[str, Any]], config: ChoiceConfig, resolved: ResolvedModel, studio: Studio
) -> list[Input]:
    """What tasks show: their files are fetched a few at a time."""
    room = asyncio.Semaphore(_FILES_AT_ONCE)

    async def one(task: dict[str, Any]) -> Input:
        async with room:
            return await input_of(shown(task, config), config, resolved, studio)

    return await asyncio.gather(*(one(task) for task in tasks))


async def input_of(
    value: Any, config: ChoiceConfig, resolved: ResolvedModel, studio: Studio
) -> Input:
    """What a task shows, as an input; or the error that it is."""
    if not isinstance(value, str) or not value:
        why = f"the task has no {config.key}"
        return failed(HeadstartError("invalid_value", why, param=config.key))
    modality = MODALITIES[resolved.modality]
    by_address = _ADDRESS.fullmatch(value) or value.startswith("/")
    if not by_address or (modality.read_by_heads and not config.by_address):
        return await to_thread.run_sync(READ[modality.name], value)
    try:
        data = await _fetched(value, studio)
        if modality.read_by_heads:
            return await to_thread.run_sync(READ[modality.name], _text(data, config))
        return Input(modality.name, data)
    except HeadstartError as error:
        return failed(error)


async def _fetched(value: str, studio: Studio) -> bytes:
    if not studio.hostname and value.startswith("/"):
        raise HeadstartError("invalid_value", "the project was not set up", param="project")
    return await studio.file(value)


def _text(data: bytes, config: ChoiceConfig) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = "what the task leads to is no text in UTF-8"
        raise HeadstartError("encoding", why, param=config.key) from error
