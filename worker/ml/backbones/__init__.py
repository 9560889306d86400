"""The pretrained networks: their weights, and one vector of all levels per image."""

from app.core.backbones import (
    BACKBONES,
    Availability,
    BackboneSpec,
    Block,
    availability,
    get,
    registry,
)

__all__ = ["BACKBONES", "Availability", "BackboneSpec", "Block", "availability", "get", "registry"]
