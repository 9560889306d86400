"""Every secret that rows keep: what is sealed, with which key, and sealing it anew.

Answers that are kept for whoever sends an Idempotency-Key again have secrets, too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, String, cast, inspect, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.core.errors import HeadstartError
from app.infra.orm import HookRow, IdempotencyRow, LabellingProjectRow, OrganisationRow, WebhookRow
from app.infra.orm.base import Base
from app.infra.repositories.idempotency import IdempotencyKey, Reply
from app.infra.vault import Vault, key_of, missing

COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    WebhookRow.secret,
    WebhookRow.former_secret,
    HookRow.secret,
    LabellingProjectRow.token,
    OrganisationRow.pseudonym_key,
)
MEMBER = "secret"
"""Of an answer."""
_SEALED = "sealed:"
Tally = Mapping[str | None, int]
"""How many secrets are sealed with the key of each name; None: that are not sealed."""


def of(row: Base) -> str:
    """The name of a row, which its secrets are bound to."""
    mapper = inspect(type(row))
    return _name(row.__tablename__, mapper.primary_key_from_instance(row))


def _name(table: str, key: Sequence[str]) -> str:
    return json.dumps([table, *key])


def kept(session: Session, vault: Vault, plain: str, row: Base | str) -> str:
    """A secret as its row keeps it: as it is where there never was a key, and no other is sealed.

    Raises secrets_key_missing: who once sealed secrets does not mean to keep one as it is; and
    invalid_value: what a caller says must not be taken for what a key has sealed.
    """
    if plain.startswith(_SEALED):
        raise HeadstartError("invalid_value", f"no secret may begin with {_SEALED!r}")
    if vault.newest is None and not is_any_sealed(session):
        return plain
    return vault.seal(plain, of=row if isinstance(row, str) else of(row))


def told(vault: Vault, stored: str, row: Base) -> str:
    """The secret that a row keeps. Raises secret_unreadable."""
    return vault.open(stored, of=of(row))


def kept_answer(session: Session, vault: Vault, key: IdempotencyKey, reply: Reply) -> Reply:
    """An answer as it is kept for who asks again. Raises secrets_key_missing."""
    whose = _name(IdempotencyRow.__tablename__, (key.organisation_id, key.value))
    secret = kept(session, vault, reply.body[MEMBER], whose)
    return Reply(status=reply.status, body={**reply.body, MEMBER: secret})


def told_answer(vault: Vault, key: IdempotencyKey, reply: Reply) -> Reply:
    """An answer as it was. Raises secret_unreadable."""
    whose = _name(IdempotencyRow.__tablename__, (key.organisation_id, key.value))
    secret = vault.open(reply.body[MEMBER], of=whose)
    return Reply(status=reply.status, body={**reply.body, MEMBER: secret})


def is_any_sealed(session: Session) -> bool:
    """Whether some row's secret is sealed; one that is being made is not asked."""
    with session.no_autoflush:
        return any(
            session.scalar(select(column).where(column.startswith(_SEALED)).limit(1)) is not None
            for column in COLUMNS
        )


@dataclass(frozen=True)
class StoredSecret:
    """One secret, where it is and how to change it."""

    column: InstrumentedAttribute[Any]
    key: tuple[str, ...]
    value: str
    answer: Mapping[str, Any] | None = None
    """What the secret is a member of."""

    @property
    def of(self) -> str:
        """The name of its row."""
        return _name(self.column.class_.__table__.name, self.key)

    def replace(self, session: Session, value: str | None) -> bool:
        """Put another value there, unless it has changed; whether it was put."""
        table = self.column.class_.__table__
        here = [one == mine for one, mine in zip(table.primary_key, self.key, strict=True)]
        was: ColumnElement[bool] = self.column == self.value
        new: Any = value
        if self.answer is not None:
            was = cast(self.column, String).contains(self.value, autoescape=True)
            new = {**self.answer, MEMBER: value}
        statement = update(table).where(*here, was).values({self.column.key: new})
        done: Any = session.execute(statement)
        return bool(done.rowcount)


def every(session: Session) -> Iterator[StoredSecret]:
    """All that there are."""
    for column in COLUMNS:
        key = column.class_.__table__.primary_key.columns
        for *names, value in session.execute(select(*key, column).where(column.is_not(None))):
            yield StoredSecret(column, tuple(names), value)
    row = IdempotencyRow
    has_one = cast(row.response, String).contains(f'"{MEMBER}"')
    for row_of, key_, answer in session.execute(
        select(row.organisation_id, row.key, row.response).where(has_one)
    ):
        if answer and isinstance(answer.get(MEMBER), str):
            yield StoredSecret(row.response, (row_of, key_), answer[MEMBER], answer)


def tally(session: Session) -> Tally:
    """With which keys secrets are sealed."""
    return Counter(key_of(one.value) for one in every(session))


def lacking(told: Mapping[Any, int], vault: Vault) -> Mapping[str, int]:
    """Those of `tally` whose keys are not there."""
    return {name: count for name, count in told.items() if name and not vault.knows(name)}


def seal_all(session: Session, vault: Vault, *, forget_lost: bool = False) -> tuple[int, int]:
    """Seal everything with the newest key: how many were, and how many could not be opened.

    What cannot be opened stays as it is, or is forgotten where that is asked for and something
    else can take its place: a tool's token, a key of pseudonyms. Raises secrets_key_missing.
    """
    if vault.newest is None:
        raise missing()
    sealed = lost = 0
    for one in list(every(session)):
        if key_of(one.value) == vault.newest:
            continue
        try:
            plain = vault.open(one.value, of=one.of)
        except HeadstartError:
            lost += 1
            if forget_lost and one.column.property.columns[0].nullable:
                one.replace(session, None)
            continue
        sealed += one.replace(session, vault.seal(plain, of=one.of))
    return sealed, lost
