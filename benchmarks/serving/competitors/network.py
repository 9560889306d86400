"""What a competitor serves: the backbone in torch, a linear head, and Pillow's preprocessing."""

from __future__ import annotations

import io
from typing import Any

import timm
import torch
from PIL import Image
from torchvision import transforms

LABELS = ("dress", "hat", "longsleeve", "outwear", "pants")
PREPROCESS = transforms.Compose(
    [
        transforms.Resize((224, 224), interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ]
)


def network() -> torch.nn.Module:
    """efficientnet_lite0 with a head of 5 classes; its weights do not matter to a clock."""
    made: torch.nn.Module = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, num_classes=5
    )
    return made.eval()


def decode(data: bytes) -> torch.Tensor:
    """[3, 224, 224]."""
    pixels: torch.Tensor = PREPROCESS(Image.open(io.BytesIO(data)).convert("RGB"))
    return pixels


def answer(logits: torch.Tensor) -> dict[str, Any]:
    """One input's JSON."""
    p = logits.softmax(0).tolist()
    return {"label": LABELS[p.index(max(p))], "probabilities": dict(zip(LABELS, p, strict=True))}
