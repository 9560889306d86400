"""A CLIP trained on the spot on drawn shapes, so that names mean something to it; in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

SIDE = 32
COLOURS = {
    "red": (0.9, 0.15, 0.15), "green": (0.15, 0.8, 0.2), "blue": (0.2, 0.3, 0.9),
}  # fmt: skip
SHAPES = ("disc", "bar", "pole")
NAMES = tuple(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS)
CAPTIONS = ("a photo of a {}.", "{}", "a picture of a {}.")
WORDS = ("[UNK]", "[PAD]", "[BOS]", "a", "photo", "picture", "of", ".", *COLOURS, *SHAPES, "[EOS]")
TAUGHT = {
    "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": SIDE, "width": SIDE},
}  # fmt: skip


def drawn(labels: Sequence[int] | Tensor, seed: int, *, noise: float = 0.15) -> Tensor:
    """uint8 pictures [n, s, s, 3] of NAMES[label]: anywhere, of any size, on any ground."""
    made = torch.Generator().manual_seed(seed)
    label = torch.as_tensor(labels)
    n = len(label)
    shape, colour = label // len(COLOURS), label % len(COLOURS)
    radius = torch.rand(n, generator=made) * 0.1 + 0.25
    middle = (torch.rand(n, 2, generator=made) - 0.5) * 0.2 + 0.5
    line = (torch.arange(SIDE) + 0.5) / SIDE
    y = (line[None, :, None] - middle[:, 0, None, None]) / radius[:, None, None]
    x = (line[None, None, :] - middle[:, 1, None, None]) / radius[:, None, None]
    wide, high = x.abs(), y.abs()
    bar, pole = (wide < 1.4) & (high < 0.4), (high < 1.4) & (wide < 0.4)
    inside = torch.stack([x**2 + y**2 < 1, bar, pole])
    mask = inside[shape, torch.arange(n)][..., None].float()
    ground = 0.4 * torch.rand(n, 1, 1, 3, generator=made)
    ink = torch.tensor(list(COLOURS.values()))[colour][:, None, None]
    pixels = mask * ink + (1 - mask) * ground
    pixels = pixels + noise * torch.randn(pixels.shape, generator=made)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


def tokenizer() -> Tokenizer:
    """A word a token, as CLIP's between two special ones."""
    vocabulary = {word: place for place, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[BOS]", vocabulary["[BOS]"]), ("[EOS]", vocabulary["[EOS]"])]
    made.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=ends
    )
    return made


def network() -> Any:
    """An untrained CLIP of four layers."""
    tower = {
        "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 64,
    }  # fmt: skip
    text = {
        **tower, "num_hidden_layers": 1, "vocab_size": len(WORDS), "max_position_embeddings": 12,
        "bos_token_id": 2, "eos_token_id": len(WORDS) - 1, "pad_token_id": 1,
    }  # fmt: skip
    sight = {**tower, "image_size": SIDE, "patch_size": 8}
    return hf.CLIPModel(hf.CLIPConfig(vision_config=sight, text_config=text, projection_dim=32))


def trained(steps: int = 160, batch: int = 54, seed: int = 0, rate: float = 1.5e-3) -> Any:
    """A CLIP that has seen pictures of NAMES with their captions (Radford et al. 2021)."""
    torch.manual_seed(seed)
    clip = network().train()
    tokens = tokenizer()
    tokens.enable_padding(pad_id=1, pad_token="[PAD]")
    optimiser = torch.optim.AdamW(clip.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for step in range(steps):
        label = torch.arange(batch) % len(NAMES)
        said = [CAPTIONS[step % len(CAPTIONS)].format(name) for name in NAMES]
        coded = tokens.encode_batch(said)
        answer = clip(
            input_ids=torch.tensor([one.ids for one in coded]),
            attention_mask=torch.tensor([one.attention_mask for one in coded]),
            pixel_values=normal(drawn(label, seed * 10_000 + step)),
        )
        loss = torch.nn.functional.cross_entropy(answer.logits_per_image, label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return clip.eval()


def normal(pixels: Tensor) -> Tensor:
    """uint8 [n, s, s, 3] as the network reads them, [n, 3, s, s]."""
    return (pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def save(clip: Any, folder: Path) -> None:
    """As Hugging Face has a CLIP's folder."""
    clip.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps(TAUGHT))
