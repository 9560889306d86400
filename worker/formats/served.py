"""Which tuned networks have answered of late: noted in storage by every predictor, for those that
start after it and get them ready before anybody asks.

A note is a key with nothing under it, one a day: no predictor waits for another, and none has to
know models or aliases, which are the database's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast, get_args

from app.core.modalities import Depth
from app.infra import storage_keys
from app.infra.storage import Storage, storage_errors

KEPT_DAYS = 14


@dataclass(frozen=True, slots=True)
class TunedNetwork:
    """A backbone tuned so deep, by models that were fitted on the engine `fitted`."""

    backbone: str
    fitted: str
    depth: Depth


def _today() -> date:
    return datetime.now(UTC).date()


class ServedNotes:
    """The notes in one storage, written through `folder`. What this process has noted is one
    thread's to ask and to remember; any may write.
    """

    def __init__(
        self, storage: Storage, folder: Path, *, today: Callable[[], date] = _today
    ) -> None:
        self._storage, self._folder, self._today = storage, folder, today
        self._noted: set[str] = set()

    def is_noted(self, network: TunedNetwork, *, aliased: bool) -> bool:
        """Whether it was remembered today, under an alias or not."""
        return self._key(network, aliased=aliased) in self._noted

    def remember(self, network: TunedNetwork, *, aliased: bool) -> None:
        """That it is about to be noted today."""
        today = {one for one in self._noted if one.startswith(self._day())}
        self._noted = today | {self._key(network, aliased=aliased)}

    def note(self, network: TunedNetwork, *, aliased: bool) -> None:
        """Put it into storage. Raises storage_unavailable, storage_full."""
        key = self._key(network, aliased=aliased)
        with storage_errors(), tempfile.TemporaryDirectory(dir=self._folder) as fresh:
            empty = Path(fresh) / "note"
            empty.write_bytes(b"")
            self._storage.put(key, empty)

    def recent(self) -> list[TunedNetwork]:
        """Those under aliases first, and of these the last to have answered. Raises
        storage_unavailable.
        """
        told = [one for key in self._storage.keys(storage_keys.SERVED) if (one := _read(key))]
        told.sort(key=lambda one: (one[1], one[0]), reverse=True)
        return list(dict.fromkeys(network for _, _, network in told))

    def forget_old(self) -> None:
        """Delete the notes of more than two weeks ago. Raises storage_unavailable."""
        oldest = (self._today() - timedelta(days=KEPT_DAYS)).isoformat()
        for key in list(self._storage.keys(storage_keys.SERVED)):
            if (told := _read(key)) is None or told[0] < oldest:
                self._storage.delete(key)

    def _day(self) -> str:
        return storage_keys.served_on(self._today())

    def _key(self, network: TunedNetwork, *, aliased: bool) -> str:
        kind = "alias" if aliased else "model"
        told = (kind, network.fitted or "-", network.depth, network.backbone)
        return f"{self._day()}/{'/'.join(told)}"


def _read(key: str) -> tuple[str, bool, TunedNetwork] | None:
    """Day, whether under an alias, and which; None of a key that is none of ours."""
    _, day, kind, fitted, depth, backbone = (*key.split("/"), *[""] * 6)[:6]
    if depth not in get_args(Depth) or not backbone:
        return None
    fitted = "" if fitted == "-" else fitted
    return day, kind == "alias", TunedNetwork(backbone, fitted, cast("Depth", depth))
