"""A head reads one network's numbers: over other weights it answers nonsense, and never says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from app.core.errors import HeadstartError


def trained_on(card: Mapping[str, Any]) -> str:
    """SHA-256 of the weights under a stored model's head. Raises model_corrupt."""
    try:
        return str(card["backbone"]["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise HeadstartError(
            "model_corrupt", "the stored model does not say which weights it was trained on"
        ) from error


def check(backbone: str, *, trained: str, loaded: str) -> None:
    """Raises backbone_unavailable where a model was trained on other weights than are loaded."""
    if trained == loaded:
        return
    raise HeadstartError(
        "backbone_unavailable",
        f"this model was trained on {backbone} with the weights of SHA-256 {trained}, but those of "
        f"SHA-256 {loaded} are loaded: put the former back into HEADSTART_WEIGHTS_DIR (or take out "
        "the file that replaced them) and restart, or train the model again",
    )


def told_of(fingerprint: str, former: Sequence[str]) -> dict[str, str]:
    """What a card says of how weights are read.

    Its `fingerprint` is by the first rule, which a release before knows; `reading` by the present.
    """
    if not fingerprint:
        return {}
    first = former[-1] if former else fingerprint
    return {"fingerprint": first, **({"reading": fingerprint} if former else {})}


def read_as(card: Mapping[str, Any]) -> str:
    """The fingerprint of how those weights were read; empty of a model that is older than it."""
    backbone = card.get("backbone")
    said = backbone if isinstance(backbone, Mapping) else {}
    told = said.get("reading", said.get("fingerprint"))
    return told if isinstance(told, str) else ""


def check_reading(
    backbone: str, *, trained: str, loaded: str, former: Collection[str] = ()
) -> None:
    """Raises backbone_unavailable where the same weights are read otherwise than for the model.

    `former` are fingerprints by older rules, which models say that are as old.
    """
    if trained in (loaded, *former) or not trained or not loaded:
        return
    raise HeadstartError(
        "backbone_unavailable",
        f"this model was trained on {backbone} as it was read then: what lies beside its weights "
        "(its side file, configuration, tokens, pooling) has changed since, or the way they are "
        "read; put it back into HEADSTART_WEIGHTS_DIR and restart, or train the model again",
    )
