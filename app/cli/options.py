"""What the commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.infra.settings import Settings, load_settings


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints what it is given: `[b]` and `:cat:` are a label, not a style."""
    return Console(
        stderr=stderr, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False
    )


console = plain_console(stderr=True)

DataDir = Annotated[Path | None, typer.Option(help="Where everything is kept.")]


def missing_service(settings: Settings) -> str | None:
    """Why there is no service's database to be read, in words; None where there may be one."""
    if settings.database_url or (settings.data_dir / "headstart.db").exists():
        return None
    return f"no service has been at {settings.data_dir.resolve()}; --data-dir names another"


def settings_of(data_dir: Path | None) -> Settings:
    """The environment's settings, on another data folder if one is named."""
    settings = load_settings()
    return settings.model_copy(update={"data_dir": data_dir}) if data_dir else settings
