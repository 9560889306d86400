"""Images and containers in a store of their own: nothing of this machine's is used or changed."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_NOFILE, RLIMIT_NPROC, getrlimit

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/debian-python"
TOOLS = ("podman", "buildah", "debootstrap", "runc")
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
NOT_IN_SLIM = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale",
    "var/lib/apt/lists", "var/cache/apt", "usr/lib/python3.11/EXTERNALLY-MANAGED",
)  # fmt: skip
"""What Debian's slim images leave out, and what Python's do."""
NEEDED = 25 * 10**9
"""Bytes on the disk, while the worker's image is built with torch for GPUs."""


def lacking() -> str | None:
    """Why no container can be made here; None where they can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install {' '.join(TOOLS)}"
    if os.geteuid() != 0:
        return "debootstrap needs root"
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return f"{NEEDED // 10**9} GB are needed, {free // 10**9} are free" if free < NEEDED else None


@dataclass(frozen=True)
class Machine:
    """Podman and buildah on a folder that holds all they make."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def run(self, *command: str, cwd: Path = ROOT, seconds: float = 300) -> str:
        """What a command says. Raises AssertionError with all of it where it fails."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=cwd,
            timeout=seconds,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        return not subprocess.run(
            command, env=self.environment, capture_output=True, timeout=60, check=False
        ).returncode

    def image_bytes(self, image: str) -> int:
        return int(self.run("podman", "image", "inspect", "--format", "{{.Size}}", image))

    def make_base(self) -> None:
        """Python on Debian, as small as the image that the Dockerfile names."""
        root = self.folder / "debian"
        include = f"--include={PACKAGES}"
        self.run("debootstrap", "--variant=minbase", include, "bookworm", str(root), seconds=900)
        self.run("rm", "-rf", *(str(root / name) for name in NOT_IN_SLIM))
        (root / "usr/bin/python").symlink_to("python3")
        archive = self.folder / "debian.tar"
        self.run("tar", "-C", str(root), "-cf", str(archive), ".")
        self.run("podman", "import", str(archive), BASE)
        shutil.rmtree(root)
        archive.unlink()

    def build(self, context: Path, image: str, *options: str, seconds: float = 3000) -> None:
        """An image on our base, with this machine's settings of pip."""
        if index := os.environ.get("TORCH_INDEX"):
            options += ("--build-arg", f"TORCH_INDEX={index}")
        self.run(
            "buildah", "bud", "--layers", "--isolation", "chroot", "--network", "host",
            "--ulimit", f"nproc={_allowed(RLIMIT_NPROC)}", "--build-arg", f"BASE={BASE}",
            *self._mounts(), *options, "--tag", image, str(context), seconds=seconds,
        )  # fmt: skip

    def _mounts(self) -> list[str]:
        """Where pip is told to look, and what it trusts."""
        told = pip_settings()
        config = configparser.RawConfigParser()
        config["global"] = told
        with (self.folder / "pip.conf").open("w") as file:
            config.write(file)
        said = " ".join(told.values())
        indexes = {Path(one).parent for one in re.findall(r"file://(/[^\s'\"]+)", said)}
        here = {Path(one) for one in re.findall(r"(?<!\S)/[^\s'\"]+", said)}
        mounts = [f"{path}:{path}:ro" for path in sorted(here | indexes) if path.exists()]
        mounts.append(f"{self.folder / 'pip.conf'}:/etc/pip.conf:ro")
        return [word for mount in mounts for word in ("--volume", mount)]


@contextmanager
def machine() -> Iterator[Machine]:
    """A store of images and containers, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="headstart-containers-"))
    made = Machine(folder)
    for name, text in _settings(folder).items():
        (folder / name).write_text(text)
    try:
        yield made
    finally:
        made.run("podman", "system", "reset", "--force")
        shutil.rmtree(folder)


def _settings(folder: Path) -> Mapping[str, str]:
    files, processes = _allowed(RLIMIT_NOFILE), _allowed(RLIMIT_NPROC)
    return {
        "storage.conf": f'[storage]\ndriver = "overlay"\n'
        f'graphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n',
        "containers.conf": "[containers]\n"
        f'default_ulimits = ["nofile={files}", "nproc={processes}"]\n'
        f'[network]\nnetwork_config_dir = "{folder}/networks"\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nlock_type = "file"\n'
        f'events_logger = "file"\ntmp_dir = "{folder}/tmp"\n',
    }


def _allowed(kind: int) -> str:
    """A limit that this process may give on: raising one may be forbidden."""
    hard = getrlimit(kind)[1]
    limit = 32768 if hard == RLIM_INFINITY else min(hard, 32768)
    return f"{limit}:{limit}"


def pip_settings() -> dict[str, str]:
    """What `pip config list` says, of whatever section."""
    said = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = (line.partition("=") for line in said.stdout.splitlines() if "=" in line)
    return {name.rpartition(".")[2]: value.strip("'") for name, _, value in pairs}
