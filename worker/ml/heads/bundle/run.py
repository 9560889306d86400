"""Classify pictures: `python run.py picture.jpg …` prints path, label(s) and probability.

Needs Pillow, numpy and what runs the network beside this file: for `network.onnx` onnxruntime or
openvino, `network.xml` openvino, `network.pt2` torch. Large JPEGs need simplejpeg, deep pictures
imagecodecs and tifffile, HEIC pillow-heif, DICOM pydicom and what it names.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image, ImageOps

Pixels = Any  # uint8 [height, width, 3]
Scale = dict[str, float]
Network = Callable[[Sequence[Any]], Any]
_BROKEN = (ValueError, SyntaxError, LookupError, RuntimeError, struct.error)
DAMAGE = (*_BROKEN, Image.DecompressionBombError)
"""What the decoders raise, besides OSError, on files that are no pictures."""
MAX_PIXELS, MAX_SIDE, MAX_ASPECT = 89_478_485, 30_000, 200
"""Of the pictures that the service reads; of sides: the longer one, and by the shorter one."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF", "PPM")


def decode(data: bytes, at_least: int, scale: Scale | None = None) -> Image.Image:
    """Upright 8-bit RGB; a large JPEG is decoded smaller, no side below `at_least`.

    `scale` is what is black and white in deep pictures; without one, each by its own values.
    """
    whole = deep(data, scale)
    if whole is not None:
        return measured(whole)
    with Image.open(BytesIO(data), formats=(*FORMATS, *heif(data))) as image:
        measured(image)
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
            return flat(ImageOps.exif_transpose(shrunk(image, data, at_least)))
        return flat(ImageOps.exif_transpose(image))


def measured(image: Image.Image) -> Image.Image:
    """The image, unless the service refuses pictures of its size. Raises ValueError."""
    shortest, longest = sorted(image.size)
    if longest * shortest > MAX_PIXELS or longest > min(MAX_SIDE, MAX_ASPECT * shortest):
        raise ValueError(f"{image.width} x {image.height} pixels are not judged")
    return image


def heif(data: bytes) -> tuple[str, ...]:
    """Pillow's name of HEIC, which it is taught to read where the picture may be one."""
    if data[4:8] != b"ftyp" or data[8:12] in (b"avif", b"avis"):
        return ()
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


def upright(pixels: Any, orientation: int) -> Image.Image:
    """As EXIF says it is to be turned."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(image)


def shrunk(image: Image.Image, data: bytes, at_least: int) -> Image.Image:
    """A JPEG, by the decoder's own scaling: simplejpeg's has more steps than Pillow's."""
    try:
        import simplejpeg  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        image.draft(image.mode, (at_least, at_least))
        return image
    sides: dict[str, Any] = {"min_height": at_least, "min_width": at_least, "min_factor": 2}
    try:
        pixels = simplejpeg.decode_jpeg(data, fastdct=False, fastupsample=False, **sides)
    except ValueError:  # it reads no irregular file; the service leaves those to Pillow, too
        return image
    smaller = Image.fromarray(pixels)
    if "exif" in image.info:
        smaller.info["exif"] = image.info["exif"]
    return smaller


def flat(image: Image.Image) -> Image.Image:
    """Transparency on a ground that shows it, everything else as RGB."""
    image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        return Image.fromarray(laid(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def laid(rgba: Any) -> Any:
    """On white; on black what is all near white; as it is where alpha is zero everywhere."""
    alpha = rgba[..., 3].astype(np.float32)
    visible = float(alpha.sum(dtype=np.float64))
    if visible == 0:
        return np.ascontiguousarray(rgba[..., :3])
    dark = float(alpha[rgba[..., :3].min(2) < 224].sum(dtype=np.float64))
    lost = dark < 0.01 * visible and (rgba[..., 3] < 255).any()
    image = Image.fromarray(rgba)
    below = Image.new("RGBA", image.size, "black" if lost else "white")
    return np.asarray(Image.alpha_composite(below, image).convert("RGB"))


def deep(data: bytes, scale: Scale | None) -> Image.Image | None:
    """RGB, upright, of a PNG or TIFF of more than eight bits a sample; None for any other."""
    if data[:4] == b"\x89PNG" and data[24] == 16 and data[25] in (0, 2, 4, 6):
        import imagecodecs  # type: ignore[import-untyped,unused-ignore]

        values = np.atleast_3d(imagecodecs.png_decode(data))
        alpha = values[..., -1] >> 8 if values.shape[2] in (2, 4) else None
        pixels = coloured(values[..., : 1 if values.shape[2] < 3 else 3], alpha, scale)
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            return upright(pixels, image.getexif().get(0x0112, 1))
    if data[128:132] == b"DICM":
        values, ends = dicom(data)
        return Image.fromarray(coloured(values, None, ends or scale))
    if data[:2] in (b"P2", b"P3", b"P5", b"P6"):
        return deep_pnm(data, scale)
    stream = data.find(b"\xff\x4f\xff\x51") if data[4:6] in (b"jP", b"\x00\x00") else 0
    if data[stream : stream + 4] == b"\xff\x4f\xff\x51" and data[stream + 42] & 127 > 7:
        import imagecodecs

        values = np.atleast_3d(imagecodecs.jpeg2k_decode(data))
        alpha = (
            values[..., -1] >> (data[stream + 42] & 127) - 7 if values.shape[2] % 2 == 0 else None
        )
        return Image.fromarray(
            coloured(values[..., : 1 if values.shape[2] < 3 else 3], alpha, scale)
        )
    return deep_tiff(data, scale) if data[:2] in (b"II", b"MM") else None


def deep_pnm(data: bytes, scale: Scale | None) -> Image.Image | None:
    """As `deep`, of a PGM or PPM."""
    gap = rb"(?:\s|#[^\r\n]*[\r\n])+"
    head = re.match(rb"P\d" + 3 * (gap + rb"(\d+)") + rb"\s", data)
    if head is None or int(head[3]) < 256:
        return None
    shape = int(head[2]), int(head[1]), 3 if data[1] in b"36" else 1
    rest = data[head.end() :]
    flat = np.frombuffer(rest, ">u2") if data[1] in b"56" else np.fromstring(rest, int, sep=" ")
    values = flat[: int(np.prod(shape))].reshape(shape).astype(np.uint16)
    return Image.fromarray(coloured(values, None, scale))


def dicom(data: bytes) -> tuple[Any, Scale | None]:
    """The first frame's samples [h, w, 1 or 3], and what is black and white where it says so."""
    import pydicom
    from pydicom.pixels import processing, utils

    file = pydicom.dcmread(BytesIO(data))
    for name in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in list(file.get(name) or [])[:1]:
            for part in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                file.update(
                    {one.tag: one for one in (group.get(part) or [{}])[0] if one.tag not in file}
                )
    stored: Any = utils.pixel_array(file, index=0)
    kind, bits = file.PhotometricInterpretation, int(file.BitsStored)
    if kind == "PALETTE COLOR":
        stored, bits = processing.apply_color_lut(stored, file)[..., :3], 8 * stored.itemsize
        return stored, {"low": 0.0, "high": float(np.iinfo(stored.dtype).max)}
    if stored.ndim == 3:
        return stored, {"low": 0.0, "high": 2.0**bits - 1}
    inverse, signed = kind == "MONOCHROME1", bool(file.get("PixelRepresentation", 0))
    stored = without_padding(stored, file, inverse)
    values = rescaled(stored, file)
    ends = None
    if file.get("VOILUTSequence"):
        values = processing.apply_voi(np.rint(values).astype(np.int32), file)
        ends = (0.0, 2.0 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    elif file.get("WindowCenter") not in (None, "") and file.get("WindowWidth"):
        ends, values = window(values, file)
    if ends is None and inverse:
        top = (
            (-1 if signed else 2**bits - 1)
            if stored.dtype.kind != "f"
            else stored.min() + stored.max()
        )
        wide = np.int64 if stored.dtype.kind != "f" else np.float64
        values = rescaled(top - stored.astype(wide), file)
    if ends is None and bits <= 8 and not signed and values.dtype.kind != "f" and values.min() >= 0:
        ends, inverse = (0.0, 2.0**bits - 1), False
    low, high = ends[::-1] if ends and inverse else ends or (0.0, 0.0)
    return values[..., None], {"low": low, "high": high} if ends else None


def rescaled(stored: Any, file: Any) -> Any:
    """What the stored numbers stand for; whole where they are only moved."""
    from pydicom.pixels import processing

    values = processing.apply_modality_lut(stored, file)
    if stored.dtype.kind != "f" and float(file.get("RescaleSlope") or 1) == 1:
        return values.astype(np.int64)
    return values


def without_padding(stored: Any, file: Any, inverse: bool) -> Any:
    """What lies outside a scanner's circle, as dark as the darkest inside."""
    padding = file.get("PixelPaddingValue")
    if padding is None or stored.dtype.kind == "f":
        return stored
    low, high = sorted((int(padding), int(file.get("PixelPaddingRangeLimit", padding))))
    outside = (stored >= low) & (stored <= high)
    inside = stored[~outside]
    if not inside.size:
        return stored
    return np.where(outside, inside.max() if inverse else inside.min(), stored)


def window(values: Any, file: Any) -> tuple[tuple[float, float] | None, Any]:
    """What the first window says is black and white, and the values that this is of."""
    center, width = (
        float(one if isinstance(one, str | float | int) else one[0])
        for one in (file.WindowCenter, file.WindowWidth)
    )
    function = file.get("VOILUTFunction") or "LINEAR"
    if width <= 0:
        return None, values
    if function == "SIGMOID":
        return (0.0, 1.0), 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1.0)
    low, high = center - width / 2, center + width / 2
    shows = values.max() > low and values.min() < high
    return ((low, high) if shows else None), values


def deep_tiff(data: bytes, scale: Scale | None) -> Image.Image | None:
    """As `deep`; a TIFF of eight bits is Pillow's to read."""
    try:
        import tifffile
    except ImportError:
        return None
    with tifffile.TiffFile(BytesIO(data)) as file:
        page: Any = file.pages[0]
        bits = int(np.max(page.bitspersample))
        if bits <= 8 and page.sampleformat == 1:
            return None
        values = page.asarray()
        if values.ndim == 3 and page.planarconfig == 2:
            values = np.moveaxis(values, 0, -1)
        values = np.atleast_3d(values)
        if page.photometric == 0:
            top = 2**bits - 1 if values.dtype.kind == "u" else values.max() + values.min()
            values = (top - values).astype(values.dtype)
        colours, alpha = 3 if page.photometric == 2 else 1, None
        if page.extrasamples and page.extrasamples[0] == 2:
            full = 1.0 if values.dtype.kind == "f" else float(2**bits - 1)
            alpha = np.rint(np.clip(values[..., colours] / full, 0, 1) * 255)
        tag = page.tags.get("Orientation")
        pixels = coloured(values[..., :colours], alpha, scale)
        return upright(pixels, int(tag.value) if tag is not None else 1)


def coloured(values: Any, alpha: Any, scale: Scale | None) -> Any:
    """Samples [h, w, 1 or 3] as uint8 [h, w, 3]."""
    pixels = eight_bits(values, scale)
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return pixels if alpha is None else laid(np.dstack([pixels, alpha.astype(np.uint8)]))


def eight_bits(values: Any, scale: Scale | None) -> Any:
    """By the scale; or by the bits in use (12-bit scans lie in 16-bit files), or by the range."""
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
    if scale is not None:
        low, high = scale["low"], scale["high"]
    elif values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif values.dtype.kind != "f" and low >= 0 and high < 65536:
        low, high = 0.0, next(2.0**n - 1 for n in (8, 10, 12, 14, 16) if high < 2**n)
    return np.rint(np.clip((wide - low) * (255 / ((high - low) or 1)), 0, 255)).astype(np.uint8)


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Antialiased bicubic on bytes as torch has it, bit for bit, rows before columns."""
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    return along(np.ascontiguousarray(along(turned, width).transpose(1, 0, 2)), height)


def along(pixels: Pixels, length: int) -> Pixels:
    """The first axis at this length, in whole numbers: weights of as many bits as 15 hold."""
    if len(pixels) == length:
        return pixels
    taps = [weights(len(pixels) / length, at, len(pixels)) for at in range(length)]
    most, bits = max(found.max() for _, found in taps), 0
    while bits < 22 and int(0.5 + most * 2 ** (bits + 1)) < 2**15:
        bits += 1
    wide = pixels.reshape(len(pixels), -1).astype(np.float64)
    made = np.empty((length, wide.shape[1]), np.uint8)
    for at, (low, found) in enumerate(taps):
        whole = np.trunc(found * 2**bits + np.copysign(0.5, found))
        sums = whole @ wide[low : low + len(whole)]  # exact: far below 2**53
        made[at] = np.clip(np.floor((sums + 2 ** (bits - 1)) / 2**bits), 0, 255)
    return made.reshape(length, *pixels.shape[1:])


def weights(scale: float, at: int, count: int) -> tuple[int, Any]:
    """Of the output pixel `at`: its first input pixel of `count`, and what it takes of each."""
    wide, centre = max(scale, 1.0), scale * (at + 0.5)
    low, high = max(int(centre - 2 * wide + 0.5), 0), min(int(centre + 2 * wide + 0.5), count)
    x = np.abs((np.arange(low, high) - centre + 0.5) / wide)
    near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
    found = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return low, found / found.sum()


def render(image: Image.Image, view: str, size: int) -> Pixels:
    """One view of a picture, uint8 [size, size, 3]."""
    pixels = np.asarray(image)
    if view == "pad":
        height, width = (max(1, round(side * size / max(image.size))) for side in pixels.shape[:2])
        canvas = np.full((size, size, 3), 128, np.uint8)
        top, left = (size - height) // 2, (size - width) // 2
        canvas[top : top + height, left : left + width] = resize(pixels, height, width)
        return canvas
    if view == "crop":
        side = min(image.size)
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        return resize(pixels[top : top + side, left : left + side], size, size)
    pixels = resize(pixels, size, size)
    if view == "mirror":
        return np.ascontiguousarray(pixels[:, ::-1])
    turns = {"rot90": 1, "rot180": 2, "rot270": 3}.get(view, 0)
    return np.ascontiguousarray(np.rot90(pixels, turns))


class Classifier:
    """The network of a bundle: pictures' bytes in, probabilities out."""

    thresholds: list[float] | None = None

    def __init__(self, folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.labels: list[str] = card["labels"]
        told: dict[str, Any] = card["export"]
        self.inputs = [
            {"decode_at_least": told["decode_at_least"], **one} for one in told["inputs"]
        ]
        self.scale: Scale | None = card["config"].get("pixel_scale")
        self.thresholds = card["config"].get("thresholds")
        self.network, self.runtime = load(folder)

    def __call__(self, pictures: Sequence[bytes]) -> Any:
        """float32 [number of pictures, number of labels]."""
        sides = [one["decode_at_least"] for one in self.inputs]
        images = {side: [decode(data, side, self.scale) for data in pictures] for side in {*sides}}
        batch = [
            np.stack([render(image, one["view"], one["size"]) for image in images[side]])
            for one, side in zip(self.inputs, sides, strict=True)
        ]
        return self.network(batch)

    def said(self, probabilities: Any) -> list[int]:
        """Places of the label, or of all labels beyond their thresholds, most probable first."""
        order, least = np.argsort(-probabilities, kind="stable").tolist(), self.thresholds
        return [at for at in order if probabilities[at] >= least[at]] if least else order[:1]


def load(folder: Path) -> tuple[Network, str]:
    """What runs the network in `folder`, and the name of the library that does."""
    if (folder / "network.pt2").exists():
        return _torch(folder / "network.pt2")
    if (folder / "network.xml").exists():
        return _openvino(folder / "network.xml")
    try:
        return _onnxruntime(folder / "network.onnx")
    except ImportError:
        return _openvino(folder / "network.onnx")


def _torch(path: Path) -> tuple[Network, str]:
    import torch

    network = torch.export.load(path).module()

    def run(batch: Sequence[Any]) -> Any:
        with torch.inference_mode():
            return network(*map(torch.from_numpy, batch)).numpy()

    return run, f"torch {torch.__version__}"


def _openvino(path: Path) -> tuple[Network, str]:
    cast(dict[str, Any], sys.modules).setdefault("openvino_telemetry", None)  # no calls home
    import openvino

    network = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: network(list(batch))[0], f"openvino {openvino.__version__}"


def _onnxruntime(path: Path) -> tuple[Network, str]:
    import onnxruntime  # type: ignore[import-untyped,import-not-found,unused-ignore]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    version = f"onnxruntime {onnxruntime.__version__}"
    return lambda batch: session.run(None, dict(zip(names, batch, strict=True)))[0], version


def main(paths: Sequence[str]) -> int:
    """Print a line for each picture; 1 where one could not be read, 2 where none is named."""
    if not paths or paths[0] in ("-h", "--help"):
        (sys.stdout if paths else sys.stderr).write("usage: python run.py picture.jpg …\n")
        return 0 if paths else 2
    classify = Classifier(Path(__file__).resolve().parent)
    return max([said(classify, path) for path in paths])


def said(classify: Classifier, path: str) -> int:
    """Print the picture's line; 1 where it cannot be read, which standard error then says."""
    try:
        probabilities = classify([Path(path).read_bytes()])[0]
    except OSError as error:
        why = error.strerror or "it is no picture that is read here"
    except DAMAGE as error:
        why = f"it is damaged, or no picture that is read here ({error})"
    except ImportError as error:
        why = f"pictures of its kind need {error.name} to be installed"
    else:
        places = classify.said(probabilities)
        labels = [classify.labels[at] for at in places]
        if classify.thresholds:
            labels = [*map(quoted, labels)]
        told = labels, [f"{probabilities[at]:.4f}" for at in places]
        sys.stdout.write("\t".join([path, *map(",".join, told)]) + "\n")
        return 0
    sys.stderr.write(f"{path}: {why}\n")
    return 1


def quoted(label: str) -> str:
    """The label as a table has it: in quotes where it would else be read as several."""
    return '"' + label.replace('"', '""') + '"' if set(label) & set(',"\t\r\n') else label


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
