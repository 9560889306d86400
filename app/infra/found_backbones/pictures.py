"""What a Hugging Face folder says of pixels: heeded exactly, or refused.

What transformers' image processors do to numbers (scale, mean, deviation) is folded into a mean and
a deviation of colours in [0, 1]. How a picture is brought to the network's side (`resample`,
`do_resize`, `do_center_crop`, `crop_pct`, `do_pad`, `do_convert_rgb`) is this service's own way,
the same for every network: of these only the side is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from app.infra.found_backbones.settings_files import SettingsFile, parsed, refusal, told

FILE = "preprocessor_config.json"
TOGETHER = "processor_config.json"
"""Where newer versions put it (`image_processor`), beside what they say of texts; read first."""
MOST_SIDE = 2048
_BYTE = 255.0
_NEARLY = 1e-6
"""1/255 as a float32 is still 1/255."""
_OWN_WAY = {
    "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_pad",
    "do_reduce_labels", "do_convert_annotations",
}  # fmt: skip
_OTHER_PIXELS = {
    "rescale_offset", "offset", "include_top", "clusters", "crop_to_patches", "normalize_factor",
    "high_res_size", "image_grid_pinpoints", "split_image",
}  # fmt: skip
"""Of other processors: each makes pixels that are not made here."""

Colours = tuple[float, float, float]
_Size = int | list[int] | dict[str, int | None] | None
_Values = float | list[float] | None


class PictureFile(SettingsFile):
    """`preprocessor_config.json`, as far as it decides numbers and the side."""

    do_rescale: bool = True
    rescale_factor: float = Field(default=1 / _BYTE, gt=0, allow_inf_nan=False)
    do_normalize: bool | None = True
    image_mean: _Values = None
    image_std: _Values = None
    do_center_crop: bool | None = None
    size: _Size = None
    crop_size: _Size = None


@dataclass(frozen=True)
class StatedPixels:
    """Pixels of side, if it is stated, and by which mean and deviation in [0, 1]."""

    mean: Colours
    std: Colours
    side: int | None


def stated(folder: Path) -> StatedPixels:
    """Raises weights_invalid for what is malformed, or asks for pixels that are not made here."""
    together = folder / TOGETHER
    own = told(together).get("image_processor")
    file = together if isinstance(own, dict) else folder / FILE
    read = parsed(PictureFile, file, own if isinstance(own, dict) else None)
    for key, value in (read.model_extra or {}).items():
        if value and (key in _OTHER_PIXELS or (key.startswith("do_") and key not in _OWN_WAY)):
            why = f"`{key}` is {value!r}, which makes pixels that are not made here"
            raise refusal(file, f"{why}: this network cannot be read")
    mean, std = _colours(read, file)
    cropped = read.crop_size if read.do_center_crop else read.size
    return StatedPixels(mean=mean, std=std, side=side_of(cropped, file))


def _colours(read: PictureFile, file: Path) -> tuple[Colours, Colours]:
    """Bytes p become (p * factor - mean) / std: the same, said of p / 255, in [0, 1]."""
    scale = _BYTE * read.rescale_factor if read.do_rescale else _BYTE
    if math.isclose(scale, 1.0, rel_tol=_NEARLY):
        scale = 1.0
    if not read.do_normalize:
        return (0.0,) * 3, (1 / scale,) * 3
    if read.image_mean is None or read.image_std is None:
        raise refusal(file, "it has no image_mean and image_std: put them there")
    mean = _three(read.image_mean, "image_mean", file)
    std = _three(read.image_std, "image_std", file)
    mean, std = (tuple(one / scale for one in three) for three in (mean, std))  # type: ignore[assignment]
    if not all(0 <= one <= 1 for one in mean) or not all(0 < one < math.inf for one in std):
        why = (
            f"image_mean {read.image_mean} and image_std {read.image_std} are not of pixels that "
            f"reach from 0 to {scale:g}: state the scale that it was taught by (`do_rescale`, "
            "`rescale_factor`), or mean and deviation on this one"
        )
        raise refusal(file, why)
    return mean, std


def _three(values: float | list[float], name: str, file: Path) -> Colours:
    """One value is every colour's, as transformers takes it."""
    many = values if isinstance(values, list) else [values]
    if len(many) == 1:
        many = many * 3
    if len(many) != 3:
        raise refusal(file, f"`{name}` has {len(many)} values: one, or one a colour, are read")
    return float(many[0]), float(many[1]), float(many[2])


def side_of(size: Any, file: Path) -> int | None:
    """Of a square, in pixels; None where it is not said. Raises weights_invalid."""
    if isinstance(size, Mapping):
        edges = [size.get(key) for key in ("height", "width")]
        size = [one for one in edges if one is not None] or size.get("shortest_edge")
    if size is None:
        return None
    stated = list(size) if isinstance(size, list | tuple) else [size]
    sides: set[int] = {one for one in stated if _is_side(one)}
    if len(sides) != 1 or not all(map(_is_side, stated)):
        why = f"the size {size!r} is no square of 1 to {MOST_SIDE} pixels, which alone are read"
        raise refusal(file, why)
    return sides.pop()


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_SIDE
