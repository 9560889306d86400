"""`<name>.json` in WEIGHTS_DIR: what is known of weights besides their numbers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.core.backbones import Pooling
from app.core.errors import HeadstartError
from app.infra.found_backbones.settings_files import said

MOST = 2**16
"""Bytes of the file."""
_Share = Annotated[float, Field(ge=0, le=1)]
_Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SideFile(BaseModel):
    """`<name>.json`: what is known of weights besides their numbers; every member may be left out.

    `architecture` is the library's name of the network, where the file has another; `tap` the
    tensor of a graph that is its embedding; colours are in [0, 1]. Of texts, `template` is what
    stands around each, `{}` in its place; `pooling` and `layer` say where states are read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str | None = None
    entry_point: str | None = None
    """Of a `hubconf.py`: the function that makes the network."""
    tap: str | None = None
    input_size: int | None = Field(default=None, gt=0, le=2048)
    mean: tuple[_Share, _Share, _Share] | None = None
    std: tuple[_Spread, _Spread, _Spread] | None = None
    licence: str | None = Field(default=None, max_length=200)
    template: str | None = Field(default=None, max_length=500)
    pooling: Pooling | None = None
    layer: int | None = Field(default=None, gt=0, le=1000)
    device: Literal["cpu"] | None = None
    """Of an ONNX graph on a machine with a GPU: to stay on the CPU. It decides no embedding."""

    @field_validator("template")
    @classmethod
    def _one_place(cls, template: str | None) -> str | None:
        if template is not None and template.count("{}") != 1:
            raise ValueError("write {} once, where the text goes")
        return template


def side_file(name: str, weights_dir: Path) -> SideFile:
    """What `<name>.json` says, read once per change. Raises weights_invalid."""
    path = weights_dir / f"{name}.json"
    if not path.is_file():
        return SideFile()
    try:
        state = path.stat()
    except OSError as error:
        raise HeadstartError("weights_invalid", f"{path.name}: {said(error)}") from error
    found = _read(path, state.st_mtime_ns, state.st_ctime_ns, state.st_size)
    if isinstance(found, str):
        raise HeadstartError("weights_invalid", f"{path.name}: {found}")
    return found


@lru_cache(maxsize=512)
def _read(path: Path, _mtime: int, _ctime: int, size: int) -> SideFile | str:
    """What it says, or what is wrong with it."""
    if size > MOST:
        return f"it has {size:,} bytes, and this file has a dozen short members"
    try:
        return SideFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        return _first(error)


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return said(error)
    one = error.errors()[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
