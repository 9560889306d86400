"""Networks of random numbers and drawn pictures: enough for speed, parity and memory.

No network may be reached, so that no weights are there. What is made here lies in a folder that
ends with the check: nobody is ever offered it as pretrained.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models

SETTLING = 4
"""Batches by which random norms learn what they norm, or numbers would grow with depth."""
TEXTS = "random-bert"


@lru_cache(maxsize=2)
def network(name: str) -> nn.Module:
    """torchvision's or timm's network of that name, of random numbers, in eval mode; made once, on
    whichever device it was moved to last.
    """
    torch.manual_seed(0)
    net: nn.Module
    if name in models.list_models():
        net = models.get_model(name, weights=None)
    else:
        import timm

        net = timm.create_model(name, pretrained=False)
    net.train()
    with torch.no_grad():
        for _ in range(SETTLING):
            net(torch.randn(4, 3, *[_side(net)] * 2))
    return net.eval()


def _side(net: nn.Module) -> int:
    """What timm's network was made for; torchvision's read 224."""
    told: Any = getattr(net, "pretrained_cfg", None)
    return 224 if told is None else int(told["input_size"][-1])


def save_image_networks(names: Sequence[str], folder: Path) -> None:
    """As a user would bring them."""
    for name in names:
        state = {key: value.contiguous() for key, value in network(name).state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")


def save_text_network(folder: Path, *, layers: int, width: int) -> None:
    """An encoder as transformers saves it, with words for tokens."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as tokens
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", *(f"w{number}" for number in range(998))]
    made = Tokenizer(tokens.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=width // 32, intermediate_size=4 * width,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / TEXTS)
    made.save(str(folder / TEXTS / "tokenizer.json"))
    (folder / TEXTS / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))


def texts(count: int, *, longest: int) -> list[str]:
    """Of one to `longest` words."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, longest + 1, count)
    return [" ".join(f"w{word}" for word in draw.integers(0, 998, n)) for n in lengths]


def jpegs(count: int, *, classes: int, side: int, seed: int = 0) -> list[tuple[str, bytes]]:
    """`(label, JPEG)`: soft blots, with a colour and stripes of their class."""
    draw = np.random.default_rng(seed)
    return [(f"c{n % classes}", _jpeg(draw, n % classes, side)) for n in range(count)]


def _jpeg(draw: np.random.Generator, kind: int, side: int) -> bytes:
    blots = Image.fromarray(draw.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(blots.resize((side * 4 // 3, side), Image.Resampling.BICUBIC)).copy()
    pixels[:: 4 + 3 * kind] = 255 - 20 * kind
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def archive(pictures: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of class folders, stored."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for number, (label, data) in enumerate(pictures):
            made.writestr(f"{label}/{number}.jpg", data)
    return out.getvalue()
