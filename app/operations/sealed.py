"""The key that seals what rows keep secret: made where it can be, told where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import structlog
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra import vault as vaults
from app.infra.database import Sessions, reading
from app.infra.orm import WebhookRow
from app.infra.repositories import sealing
from app.infra.settings import Settings
from app.infra.vault import Vault, keys

log = structlog.get_logger()


def open_vault(settings: Settings, sessions: Sessions) -> Vault:
    """The vault of a service, whose first key is made where its database is in the data folder.

    None is made beside secrets that are sealed: theirs is missing, and whoever puts it there must
    not overwrite another. Raises invalid_value.
    """
    if not settings.database_url and not keys.read(settings):
        with reading(sessions) as session:
            if not _is_any_sealed(session):
                keys.make(settings.data_dir)
    return vaults.open_vault(settings)


def _is_any_sealed(session: Session) -> bool:
    there = inspect(session.connection()).has_table(WebhookRow.__tablename__)
    return there and sealing.is_any_sealed(session)


def where(settings: Settings) -> str:
    """Where whoever runs this service puts a key."""
    if settings.secrets_key_file is not None:
        return f"{settings.secrets_key_file} (one a line)"
    if settings.database_url or settings.secrets_key.get_secret_value():
        return "HEADSTART_SECRETS_KEY"
    return f"{settings.data_dir / keys.FILE} (one a line)"


def advice(session: Session, vault: Vault, settings: Settings) -> Iterator[str]:
    """What is to be done about secrets, a sentence each; nothing where all is well."""
    tally = sealing.tally(session)
    for name, count in sealing.lacking(tally, vault).items():
        yield (
            f"{count} secrets are sealed with the key {name}, which is not here: add it to"
            f" {where(settings)}; until then they sign nothing and open nothing"
        )
    if plain := tally.get(None, 0):
        what = "`headstart secrets reseal` seals them" if vault.newest else _no_key(settings)
        yield f"{plain} secrets are in the database as they are: {what}"
    elif vault.newest is None and not tally:
        yield f"secrets will be in the database as they are: {_no_key(settings)}"


def tell_advice(*, sessions: Sessions, vault: Vault, settings: Settings) -> None:
    """Say it in the log; that a database is away is told elsewhere."""
    with suppress(HeadstartError, SQLAlchemyError), reading(sessions) as session:
        for sentence in advice(session, vault, settings):
            log.warning(sentence)


def _no_key(settings: Settings) -> str:
    return f"there is no key; put one of `headstart secrets new-key` into {where(settings)}"
