"""Uploading many small pictures, against hashing and unpacking the same archive alone."""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.cli.embedded import prepare
from app.infra.settings import load_settings
from benchmarks.record import record, spread

PICTURES, BYTES, ROUNDS = 10_000, 50_000, 3
_JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    b"\xff\xc0\x00\x0b\x08\x01\xe0\x02\x80\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00?\x00"
)
"""The head of a grey JPEG of 640 x 480; its scan is noise, which packs as little as a real one."""


@dataclass(frozen=True)
class App:
    """The app alone, without a trainer: what is timed is the upload."""

    url: str
    key: str
    pid: int

    def upload(self, archive: Path) -> float:
        """Seconds from the request's first byte to its answer."""
        with httpx.Client(timeout=600) as client, archive.open("rb") as file:
            began = time.perf_counter()
            answer = client.post(
                f"{self.url}/v1/datasets",
                content=iter(lambda: file.read(2**20), b""),
                headers={
                    "authorization": f"Bearer {self.key}",
                    "content-type": "application/zip",
                    "content-length": str(archive.stat().st_size),
                },
            )
            seconds = time.perf_counter() - began
        answer.raise_for_status()
        assert answer.json()["num_examples"] == PICTURES, answer.text
        return seconds

    def cpu_seconds(self) -> float:
        """Processor time that the app has taken so far: what a noisy neighbour changes least."""
        told = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most that was resident."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


@contextmanager
def app(folder: Path) -> Iterator[App]:
    """The app on a data folder of its own."""
    settings, port = load_settings().model_copy(update={"data_dir": folder}), _free_port()
    prepare(settings)
    command = [sys.executable, "-m", "app.cli.serve", "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "HEADSTART_DATA_DIR": str(folder)}
    process = subprocess.Popen(command, env=env)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield App(url, (folder / "api-key").read_text().strip(), process.pid)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{url}/livez").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the app did not start")


def make(path: Path) -> None:
    """A zip as tools write it: deflated, though pictures hardly shrink."""
    noise = random.Random(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(PICTURES):
            data = _JPEG + noise.randbytes(BYTES - len(_JPEG) - 2) + b"\xff\xd9"
            archive.writestr(f"class-{number % 10}/{number:05}.jpg", data)


def hash_and_unpack(path: Path) -> float:
    """Seconds of the plain loop: the archive's sha256, and each member's content."""
    began, whole = time.perf_counter(), hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(2**20):
            whole.update(data)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            hashlib.sha256(archive.read(member)).digest()
    return time.perf_counter() - began


def main() -> None:
    """The loop and the upload in turn, so that a noisy neighbour disturbs both."""
    loops, uploads = list[float](), list[float]()
    loop_cpu, upload_cpu = list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="headstart-bench-") as folder:
        archive = Path(folder) / "pictures.zip"
        make(archive)
        with app(Path(folder) / "data") as running:
            for _ in range(ROUNDS):
                began, cpu = time.process_time(), running.cpu_seconds()
                loops.append(hash_and_unpack(archive))
                loop_cpu.append(time.process_time() - began)
                uploads.append(running.upload(archive))
                upload_cpu.append(running.cpu_seconds() - cpu)
            peak = running.peak_mb()
        size = archive.stat().st_size
    record(
        "intake",
        figure="seconds of uploading a zip of 10,000 small JPEGs to the app, until its answer, and"
        " of a plain loop of sha256 and unzip over the same file; the app's most resident memory",
        method="in turns; POST over loopback as a raw body to `app.cli.serve` alone, SQLite and"
        " local storage; VmHWM of the app after all uploads",
        results={
            "pictures": PICTURES,
            "zip_bytes": size,
            "loop_seconds": spread(loops),
            "upload_seconds": spread(uploads),
            "loop_cpu_seconds": spread(loop_cpu),
            "app_cpu_seconds": spread(upload_cpu),
            "speed_of_loop": round(min(loops) / min(uploads), 3),
            "app_peak_mb": round(peak, 1),
        },
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
