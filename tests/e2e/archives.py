"""Archives of real and of drawn pictures."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw


def of_folder(root: Path, *, per_class: int) -> bytes:
    """A zip of the first `per_class` pictures of each class folder under `root`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for folder in sorted(root.iterdir()):
            for path in sorted(folder.iterdir())[:per_class]:
                archive.write(path, f"{folder.name}/{path.name}")
    return out.getvalue()


def drawn(*, per_class: int, seed: int = 0) -> dict[str, bytes]:
    """`{path: PNG}` of discs and bars in random places and colours."""
    generator = random.Random(seed)
    return {
        f"{label}/{number}.png": _draw(label, generator)
        for label in ("disc", "bar")
        for number in range(per_class)
    }


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of `members`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return out.getvalue()


def _draw(label: str, generator: random.Random) -> bytes:
    picture = Image.new("RGB", (96, 96), tuple(generator.randrange(200, 256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    colour = tuple(generator.randrange(0, 120) for _ in range(3))
    left, top = generator.randrange(5, 40), generator.randrange(5, 40)
    if label == "disc":
        pen.ellipse((left, top, left + 45, top + 45), fill=colour)
    else:
        pen.rectangle((left, top, left + 50, top + 8), fill=colour)
    out = io.BytesIO()
    picture.save(out, "png")
    return out.getvalue()
